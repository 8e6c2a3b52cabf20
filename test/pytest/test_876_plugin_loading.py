"""How a plugin's file is loaded: whose symbols it gets, whose function and table they are, which version runs."""

import functools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness import settings
from harness.compiler import build, overwrite
from harness.conf import location
from harness.httpd import Httpd
from harness.rawclient import TEXT
from harness.scripted import Records
from harness.scripted import ask as ask_script
from harness.waiting import eventually

OLD_VERSION = r"\[websocket:warn\].* WS0113: .*"

# Everybody's first choice of names, none of them static.
PLUGIN = """
#include "websocket_plugin.h"
#include <string.h>
%(head)s
const char *answer = "%(answer)s";
size_t CALLBACK on_message(void *plugin_private, const WebSocketServer *server, const int type,
                           unsigned char *buffer, const size_t buffer_size)
{
    (void)plugin_private, (void)type, (void)buffer;
    %(body)s
    server->send(server, MESSAGE_TYPE_TEXT, (const unsigned char *)answer, strlen(answer));
    return buffer_size;
}
WebSocketPlugin plugin = { .size = sizeof(WebSocketPlugin), .version = 1, .on_message = on_message };
extern EXPORT WebSocketPlugin *CALLBACK init(void) { return &plugin; }
"""


def named(answer, *, head="", body=""):
    return PLUGIN % {"answer": answer, "head": head, "body": body}


def handler(file, init="init"):
    return f'WebSocketHandler "{file}" {init}'


def ask(server, path, question="who"):
    with server.open(path) as client:
        client.send_frame(TEXT, question)
        answer = client.receive_message().text
        client.close_properly()
        return answer


@pytest.fixture
def tester():
    """A server that never runs; the MPM makes no difference to how configuration is read."""
    server = Httpd(settings.mpms()[0])
    yield server
    server.remove()


def complaint(tester, file, init="init"):
    result, _base = tester.configtest(location("/x", handler(file, init)))
    assert result.returncode == 1, result.stderr
    return result.stderr


# Which plugin


def test_ws_876_06_one_file_under_two_names_is_one_plugin(make_httpd, mpm, tmp_path):
    """As below /etc/httpd, where modules is a link."""
    tmp_path.chmod(0o755)
    file = settings.TEST_PLUGINS / "scripted.so"
    (tmp_path / "modules").symlink_to(file.parent)
    (tmp_path / "other-name.so").symlink_to(file)
    names = [file, tmp_path / "modules" / file.name, tmp_path / "other-name.so"]
    server = make_httpd(mpm, "".join(
        location(f"/{number}", handler(name, "scripted_init")) for number, name in enumerate(names)
    ))
    records = Records(server)
    server.start()
    children = server.children()
    for child in children:
        eventually(lambda: "child_start" in records.of_process(child), "the children to begin")
    for number in range(len(names)):
        with server.open(f"/{number}") as client:
            assert ask_script(client, "echo hello") == "hello"
            client.close_properly()
    parent = server.pid
    server.stop()
    for child in children:
        whats = [what for what in records.of_process(child) if what.startswith("child_")]
        assert [what.partition(" ")[0] for what in whats] == ["child_start", "child_stop"], whats
    # httpd has read its configuration twice.
    assert records.of_process(parent).count("destroy") <= 2


# Whose symbols


def test_ws_876_01_plugins_of_the_same_names_do_not_meet(make_httpd, mpm, tmp_path):
    tmp_path.chmod(0o755)
    files = [build(tmp_path / f"{name}.so", named(name)) for name in ("first", "second", "third")]
    server = make_httpd(mpm, "".join(
        location(f"/{file.stem}", handler(file)) for file in files
    ))
    server.start()
    for file in files:
        assert ask(server, f"/{file.stem}") == file.stem


def test_ws_876_02_nor_does_one_meet_a_library_that_everything_sees(make_httpd, mpm, tmp_path):
    tmp_path.chmod(0o755)
    library = build(tmp_path / "library.so", named("the library"))
    mine = build(tmp_path / "mine.so", named("mine"))
    server = make_httpd(
        mpm, f'LoadFile "{library}"\n' + location("/mine", handler(mine)),
        modules=["so"] if "mod_so.c" not in settings.built_in_modules() else (),
    )
    server.start()
    assert ask(server, "/mine") == "mine"


@functools.cache
def python_to_embed():
    """A Python like the one that runs the tests, that httpd's children may read: its configuration, or None."""
    for program in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        script = (
            "import json, sys, sysconfig; print(json.dumps({**sysconfig.get_config_vars(), "
            "'include': sysconfig.get_paths()['include'], 'prefix': sys.base_prefix}, default=str))"
        )
        if shutil.which(program) is None:
            continue
        result = subprocess.run([program, "-c", script], capture_output=True, text=True)
        if result.returncode != 0:
            continue
        found = json.loads(result.stdout)
        library = Path(found["LIBDIR"]) / f"libpython{found['LDVERSION']}.so"
        if not library.exists():
            library = Path(found["LIBDIR"], found.get("MULTIARCH") or "", library.name)
        needed = [Path(found["include"]) / "Python.h", library]
        if all(each.exists() and may_be_read_by_all(each) for each in needed):
            return {**found, "library": library}
    return None


def may_be_read_by_all(file):
    return settings.unprivileged() is None or all(
        each.stat().st_mode & 0o005 == 0o005 for each in file.parents
    )


PYTHON = """
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include "websocket_plugin.h"
#include <string.h>

static void CALLBACK child_start(WebSocketPlugin *plugin, const WebSocketServer *server)
{
    (void)plugin, (void)server;
    Py_InitializeEx(0);
    PyEval_SaveThread();
}

static size_t CALLBACK on_message(void *plugin_private, const WebSocketServer *server, const int type,
                                  unsigned char *buffer, const size_t buffer_size)
{
    PyGILState_STATE state = PyGILState_Ensure();
    PyObject *globals = PyDict_New();
    char script[1000];
    const char *answer = "an exception";
    PyObject *result;

    (void)plugin_private, (void)type;
    snprintf(script, sizeof script, "%.*s", (int)buffer_size, (const char *)buffer);
    PyDict_SetItemString(globals, "__builtins__", PyEval_GetBuiltins());
    result = PyRun_String(script, Py_file_input, globals, globals);
    if (result != NULL)
        answer = PyUnicode_AsUTF8(PyDict_GetItemString(globals, "answer"));
    else
        PyErr_Print();
    server->send(server, MESSAGE_TYPE_TEXT, (const unsigned char *)answer, strlen(answer));
    PyGILState_Release(state);
    return buffer_size;
}

static WebSocketPlugin plugin = {
    .size = sizeof(WebSocketPlugin), .version = 1, .on_message = on_message, .child_start = child_start
};
extern EXPORT WebSocketPlugin *CALLBACK init(void) { return &plugin; }
"""


@pytest.mark.skipif(python_to_embed() is None, reason="no Python to embed (package libpython3-dev)")
def test_ws_876_03_an_embedded_python_loads_its_extension_modules(make_httpd, mpm):
    """They need the interpreter's symbols, and say not from where."""
    import websockets.speedups as from_pypi

    python = python_to_embed()
    server = make_httpd(mpm, lambda server: "".join(
        location(f"/{name}", handler(server.directory / f"{name}.so")) for name in ("python", "other")
    ), environment={"PYTHONHOME": python["prefix"]})
    build(
        server.directory / "python.so", PYTHON, flags=[f"-I{python['include']}"], warnings=(),
        libraries=[str(python["library"]), f"-Wl,-rpath,{python['library'].parent}"],
    )
    build(server.directory / "other.so", named("other"))
    # Where the children's user may read it, wherever the tests' own packages are.
    module = server.directory / Path(from_pypi.__file__).name
    module.write_bytes(Path(from_pypi.__file__).read_bytes())
    server.start()
    script = (
        f"import sys; sys.path.append('{server.directory}')\n"
        "import _decimal, _ctypes, speedups\n"
        "answer = speedups.apply_mask(b'abcd', b'    ').decode() + str(_decimal.Decimal(8))\n"
    )
    assert ask(server, "/python", script) == "ABCD8"
    assert ask(server, "/other") == "other"


LUA = """
#include <lua.h>
#include <lauxlib.h>
#include <lualib.h>
#include "websocket_plugin.h"

static size_t CALLBACK on_message(void *plugin_private, const WebSocketServer *server, const int type,
                                  unsigned char *buffer, const size_t buffer_size)
{
    lua_State *lua = luaL_newstate();
    const char *answer;
    size_t length;

    (void)plugin_private, (void)type;
    luaL_openlibs(lua);
    if (luaL_loadbuffer(lua, (const char *)buffer, buffer_size, "message") == LUA_OK)
        lua_pcall(lua, 0, 1, 0);
    answer = luaL_tolstring(lua, -1, &length);
    server->send(server, MESSAGE_TYPE_TEXT, (const unsigned char *)answer, length);
    lua_close(lua);
    return buffer_size;
}

static WebSocketPlugin plugin = { .size = sizeof(WebSocketPlugin), .version = 1, .on_message = on_message };
extern EXPORT WebSocketPlugin *CALLBACK init(void) { return &plugin; }
"""

LUA_MODULE = """
#include <lua.h>
#include <lauxlib.h>

static int twice(lua_State *lua)
{
    lua_pushinteger(lua, 2 * luaL_checkinteger(lua, 1));
    return 1;
}

int luaopen_doubling(lua_State *lua)
{
    lua_pushcfunction(lua, twice);
    return 1;
}
"""


def lua_to_embed():
    if shutil.which("pkg-config") is None:
        return None
    result = subprocess.run(["pkg-config", "--cflags", "--libs", "lua5.4"],
                            capture_output=True, text=True)
    return result.stdout.split() if result.returncode == 0 else None


@pytest.mark.skipif(lua_to_embed() is None, reason="no Lua to embed (package liblua5.4-dev)")
def test_ws_876_04_an_embedded_lua_loads_a_module_in_c(make_httpd, mpm):
    flags = [flag for flag in lua_to_embed() if flag.startswith("-I")]
    libraries = [flag for flag in lua_to_embed() if not flag.startswith("-I")]
    server = make_httpd(mpm, lambda server: location("/lua", handler(server.directory / "lua.so")))
    build(server.directory / "lua.so", LUA, flags=flags, libraries=libraries)
    # Modules are not linked with the interpreter.
    build(server.directory / "doubling.so", LUA_MODULE, flags=flags)
    server.start()
    script = f"package.cpath = '{server.directory}/?.so'; return require('doubling')(21)"
    assert ask(server, "/lua", script) == "42"


def test_ws_876_05_where_the_allocator_is_replaced_plugins_keep_to_it(make_httpd, mpm, tmp_path):
    """Memory of the one that is freed by the other would end the child."""
    tmp_path.chmod(0o755)
    allocator = build(tmp_path / "allocator.so", """
        #define _GNU_SOURCE
        #include <stddef.h>
        #include <stdlib.h>
        #include <string.h>
        #include <malloc.h>
        extern void *__libc_malloc(size_t);
        extern void __libc_free(void *);
        #define MARK 0x5eed5eed5eed5eedUL
        #define ALIGNED (MARK + 1)
        /* Each block has a header that the C library knows nothing of. */
        void *malloc(size_t size)
        {
            unsigned long *block = __libc_malloc(size + 16);
            if (block == NULL) return NULL;
            block[0] = MARK; block[1] = size;
            return block + 2;
        }
        void free(void *memory)
        {
            if (memory == NULL) return;
            /* Such a block's beginning is not known any more. */
            if (((unsigned long *)memory)[-2] == ALIGNED) return;
            if (((unsigned long *)memory)[-2] != MARK) abort();
            ((unsigned long *)memory)[-2] = 0;
            __libc_free((unsigned long *)memory - 2);
        }
        void *calloc(size_t count, size_t size)
        {
            void *memory = malloc(count * size);
            return memory ? memset(memory, 0, count * size) : NULL;
        }
        void *realloc(void *memory, size_t size)
        {
            void *other = malloc(size);
            if (memory != NULL && other != NULL) {
                size_t before = ((unsigned long *)memory)[-1];
                memcpy(other, memory, before < size ? before : size);
                free(memory);
            }
            return other;
        }
        static void *aligned(size_t alignment, size_t size)
        {
            char *block, *memory;
            if (alignment < 16) alignment = 16;
            block = __libc_malloc(size + 16 + alignment);
            memory = (char *)(((size_t)block + 16 + alignment - 1) & ~(alignment - 1));
            ((unsigned long *)memory)[-2] = ALIGNED; ((unsigned long *)memory)[-1] = size;
            return memory;
        }
        int posix_memalign(void **memory, size_t alignment, size_t size)
        {
            *memory = aligned(alignment, size);
            return 0;
        }
        void *memalign(size_t alignment, size_t size) { return aligned(alignment, size); }
        void *aligned_alloc(size_t alignment, size_t size) { return aligned(alignment, size); }
    """, warnings=())
    # What the C library allocates for it, the plugin frees.
    mine = build(tmp_path / "mine.so", named(
        "mine", head="#define _GNU_SOURCE\n#include <stdio.h>",
        body='char *line; if (asprintf(&line, "%d", type) >= 0) free(line);',
    ), warnings=())
    server = make_httpd(mpm, location("/mine", handler(mine)),
                        wrapper=("env", f"LD_PRELOAD={allocator}"))
    server.start()
    assert ask(server, "/mine") == "mine"


# Whose function, and whose table


def test_ws_876_10_an_init_that_is_no_function_is_told(tester):
    """The module's own module_rec: calling it would end httpd -t with a signal."""
    module = settings.MODULES / "mod_websocket.so"
    message = complaint(tester, module, "websocket_module")
    assert f"{module} has 'websocket_module', but it is no function" in message


def test_ws_876_11_an_init_of_another_library_is_told_where_it_lies(tester, tmp_path):
    file = build(tmp_path / "mine.so", named("mine"))
    message = complaint(tester, file, "malloc")
    assert f"{file} has no function 'malloc' of its own; what it would call lies in " in message
    assert "libc" in message


def test_ws_876_12_a_table_of_another_file_is_told_where_it_lies(tester, tmp_path):
    other = build(tmp_path / "other.so", named("other"))
    mine = build(
        tmp_path / "mine.so",
        '#include "websocket_plugin.h"\nextern WebSocketPlugin plugin;\n'
        "extern EXPORT WebSocketPlugin *CALLBACK mine_init(void) { return &plugin; }\n",
        libraries=[str(other)],
    )
    message = complaint(tester, mine, "mine_init")
    assert f"mine_init of {mine}: its table lies in {other}: " in message
    assert "declare it static" in message


def test_ws_876_13_a_callback_of_a_file_that_it_does_not_need_is_told(tester, tmp_path):
    other = build(tmp_path / "other.so", named("other"))
    mine = build(tmp_path / "mine.so", """
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include "websocket_plugin.h"
        static WebSocketPlugin plugin = { .size = sizeof(WebSocketPlugin), .version = 1 };
        extern EXPORT WebSocketPlugin *CALLBACK init(void)
        {
            plugin.on_message = (WS_OnMessage)dlsym(dlopen("%s", RTLD_NOW), "on_message");
            return &plugin;
        }
    """ % other)
    message = complaint(tester, mine)
    assert f"init of {mine}: on_message lies in {other}: " in message


def test_ws_876_14_callbacks_of_a_library_that_it_needs_are_its_own(tester, tmp_path):
    library = build(tmp_path / "library.so", named("library"))
    mine = build(tmp_path / "mine.so", """
        #include "websocket_plugin.h"
        extern size_t CALLBACK on_message(void *, const WebSocketServer *, const int, unsigned char *,
                                          const size_t);
        static WebSocketPlugin mine = {
            .size = sizeof(WebSocketPlugin), .version = 1, .on_message = on_message
        };
        extern EXPORT WebSocketPlugin *CALLBACK mine_init(void) { return &mine; }
    """, libraries=[str(library)])
    result, _base = tester.configtest(location("/x", handler(mine, "mine_init")))
    assert result.returncode == 0, result.stderr


def test_ws_876_15_a_callback_that_is_data_is_told(tester, tmp_path):
    mine = build(tmp_path / "mine.so", """
        #include "websocket_plugin.h"
        static int number;
        static WebSocketPlugin plugin = { .size = sizeof(WebSocketPlugin), .version = 1 };
        extern EXPORT WebSocketPlugin *CALLBACK init(void)
        {
            plugin.on_message = (WS_OnMessage)(void *)&number;
            return &plugin;
        }
    """)
    assert f"init of {mine}: on_message is no function" in complaint(tester, mine)


def test_ws_876_16_a_name_that_cpp_has_changed_is_told(tester, tmp_path):
    file = build(
        tmp_path / "cpp.so",
        '#include "websocket_plugin.h"\nWebSocketPlugin *cpp_init() { return nullptr; }\n',
        language="c++",
    )
    message = complaint(tester, file, "cpp_init")
    assert f"{file} has no function 'cpp_init', but _Z8cpp_initv: " in message
    assert 'declare it extern "C"' in message


def test_ws_876_17_a_version_that_was_forgotten_is_told(tester, tmp_path):
    file = build(tmp_path / "mine.so", """
        #include "websocket_plugin.h"
        static size_t CALLBACK on_message(void *plugin_private, const WebSocketServer *server,
                                          const int type, unsigned char *buffer, const size_t size)
        {
            (void)plugin_private, (void)server, (void)type, (void)buffer;
            return size;
        }
        static void CALLBACK on_timer(void *plugin_private, const WebSocketServer *server)
        {
            (void)plugin_private, (void)server;
        }
        static WebSocketPlugin plugin = {
            .size = sizeof(WebSocketPlugin), .on_message = on_message, .on_timer = on_timer
        };
        extern EXPORT WebSocketPlugin *CALLBACK init(void) { return &plugin; }
    """)
    result, _base = tester.configtest(location("/x", handler(file)))
    assert result.returncode == 0, result.stderr
    assert (
        f"init of {file}: the table's version is 0, so that on_timer and what follows it are ignored"
        in result.stderr
    )
    assert "WS0111" in result.stderr


# Which version

CPP = """
#include "websocket_plugin.h"
#include <memory>
#include <string>
%(head)s
static std::size_t CALLBACK on_message(void *, const WebSocketServer *server, const int, unsigned char *,
                                       const std::size_t size)
{
    std::string answer = "%(answer)s";
    answer.append(%(more)s);
    server->send(server, MESSAGE_TYPE_TEXT, reinterpret_cast<const unsigned char *>(answer.data()),
                 answer.size());
    return size;
}
extern "C" EXPORT WebSocketPlugin *CALLBACK cpp_init()
{
    static WebSocketPlugin plugin = {};
    plugin.size = sizeof plugin;
    plugin.version = WEBSOCKET_PLUGIN_VERSION_1;
    plugin.on_message = on_message;
    return &plugin;
}
"""


def cpp(answer, *, head="", more='""'):
    return CPP % {"answer": answer, "head": head, "more": more}


# Bound once for the whole process, so that glibc never lets the file go.
UNIQUE = {
    "head": "template <class T> struct Counter { static int &count() { static int n = 0; return n; } };",
    "more": 'Counter<int>::count()++ >= 0 ? "" : "!"',
}
VERSION_SCRIPT = "{ global: *_init; local: *; };\n"


@pytest.mark.parametrize("mapper", ["c++", "c"])
def test_ws_876_20_a_new_version_is_taken_at_a_graceful_restart(make_httpd, mpm, tmp_path, mapper):
    tmp_path.chmod(0o755)
    file = tmp_path / "mine.so"
    write, init = (cpp, "cpp_init") if mapper == "c++" else (named, "init")
    # As it is without -O: with each function of the templates, which other libraries may take for theirs.
    build(file, write("one"), language=mapper, flags=["-O0"])
    server = make_httpd(mpm, location("/mine", handler(file, init)))
    server.start()
    assert ask(server, "/mine") == "one"
    for answer in ("two", "three"):
        build(file, write(answer), language=mapper, flags=["-O0"])
        server.graceful()
        assert ask(server, "/mine") == answer


def test_ws_876_21_a_version_that_cannot_be_taken_is_told(make_httpd, mpm, tmp_path):
    tmp_path.chmod(0o755)
    file = build(tmp_path / "mine.so", cpp("one", **UNIQUE), language="c++")
    server = make_httpd(mpm, location("/mine", handler(file, "cpp_init")))
    server.start()
    assert ask(server, "/mine") == "one"
    build(file, cpp("two", **UNIQUE), language="c++")
    server.error_log.expect(OLD_VERSION + f"the old version of {file} goes on running")
    server.graceful()
    assert ask(server, "/mine") == "one"
    server.error_log.verify()
    server.stop()
    server.start()
    assert ask(server, "/mine") == "two"


def test_ws_876_22_with_a_version_script_it_is_taken(make_httpd, mpm, tmp_path):
    tmp_path.chmod(0o755)
    script = tmp_path / "exports.map"
    script.write_text(VERSION_SCRIPT)
    options = {"language": "c++", "flags": [f"-Wl,--version-script={script}"]}
    file = build(tmp_path / "mine.so", cpp("one", **UNIQUE), **options)
    server = make_httpd(mpm, location("/mine", handler(file, "cpp_init")))
    server.start()
    assert ask(server, "/mine") == "one"
    build(file, cpp("two", **UNIQUE), **options)
    server.graceful()
    assert ask(server, "/mine") == "two"
    assert str(file) not in _deleted_files(server.pid)


def test_ws_876_23_a_file_that_stays_and_is_written_over_is_told(make_httpd, mpm, tmp_path):
    tmp_path.chmod(0o755)
    file = build(tmp_path / "mine.so", named("one"), flags=["-Wl,-z,nodelete"])
    server = make_httpd(mpm, location("/mine", handler(file)))
    server.start()
    assert ask(server, "/mine") == "one"
    server.graceful()
    assert not server.error_log.find(OLD_VERSION)
    overwrite(file, named("two"), flags=["-Wl,-z,nodelete"])
    server.error_log.expect(OLD_VERSION + f"{file} was written over while it was mapped")
    server.graceful()


# As Rust's thread_local! and thread::current() leave it: it runs when the parent's only thread ends.
THREAD_LOCAL = """
struct Kept { int number = 0; ~Kept() {} };
static thread_local Kept kept;
static Kept *touched = (kept.number++, &kept);
"""
KEPT = {
    "nodelete": lambda answer: (named(answer), {"flags": ["-Wl,-z,nodelete"]}),
    "thread-local destructor": lambda answer: (
        cpp(answer, head=THREAD_LOCAL, more='touched != nullptr ? "" : "!"'), {"language": "c++"}
    ),
}


@pytest.mark.parametrize("kind", KEPT)
def test_ws_876_24_a_version_that_stays_is_no_hindrance_to_the_next(make_httpd, mpm, tmp_path, kind):
    tmp_path.chmod(0o755)

    def install(answer):
        source, options = KEPT[kind](answer)
        return build(tmp_path / "mine.so", source, **options)

    file = install("one")
    server = make_httpd(mpm, location(
        "/mine", handler(file, "init" if kind == "nodelete" else "cpp_init")
    ))
    server.start()
    assert ask(server, "/mine") == "one"
    for answer in ("two", "three", "four"):
        install(answer)
        server.graceful()
        assert ask(server, "/mine") == answer
    # The reason for all this.
    assert str(file) in _deleted_files(server.pid)


def _deleted_files(pid):
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return {line.split(None, 5)[5].removesuffix(" (deleted)") for line in lines
            if line.endswith(" (deleted)")}
