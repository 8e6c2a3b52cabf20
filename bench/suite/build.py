"""Finds and makes every program of the benchmark."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent
TOP = BENCH.parent


class Unusable(Exception):
    """The benchmark cannot run here; the text says what to do."""


class Programs:
    """Paths. What may be missing is None."""

    def __init__(self, **paths):
        self.__dict__.update(paths)


def build():
    httpd = httpd_program()
    httpd_modules = Path(os.environ.get("HTTPD_MODULES") or apxs("libexecdir"))
    mpms = available_mpms(httpd, httpd_modules)
    if "event" not in mpms:
        raise Unusable("this httpd has no event MPM")
    release = cargo_build()
    return Programs(
        wsbench=release / "wsbench",
        tcp_echo=release / "tcp-echo",
        tcp_room=release / "tcp-room",
        zlib_echo=release / "zlib-echo",
        tungstenite=release / "tungstenite-echo",
        fastwebsockets=release / "fastwebsockets-echo",
        room_plugin=release / "libmod_websocket_bench_room.so",
        libwebsockets=compile_libwebsockets_echo(release),
        nchan=nchan(),
        modules=our_modules(),
        httpd=httpd,
        httpd_modules=httpd_modules,
        mpms=mpms,
        openssl=shutil.which("openssl"),
        strace=shutil.which("strace"),
        valgrind=shutil.which("valgrind"),
    )


def cargo_build():
    cargo = os.environ.get("CARGO", "cargo")
    # Without --target-dir the folder would be .cargo/config.toml's or the environment's.
    target = Path(os.environ.get("CARGO_TARGET_DIR") or TOP / "target").resolve() / "bench"
    run(cargo, "build", "--release", "--locked", "--quiet", "--workspace", "--target-dir", target, cwd=BENCH)
    return target / "release"


def compile_libwebsockets_echo(folder):
    """The path, or None without the library."""
    query = ["pkg-config", "--cflags", "--libs", "libwebsockets"]
    found = None
    if shutil.which("pkg-config"):
        found = subprocess.run(query, capture_output=True, text=True, check=False)
    if not found or found.returncode:
        print(
            "bench/run: no libwebsockets: install libwebsockets-dev and pkg-config for its columns",
            file=sys.stderr,
        )
        return None
    flags = found.stdout.split()
    program = folder / "libwebsockets-echo"
    compiler = os.environ.get("CC", "cc").split()
    run(*compiler, "-O2", "-o", program, BENCH / "libwebsockets_echo.c", *flags)
    return program


def nchan():
    """The programs of nginx and its module nchan, or None."""
    nginx = os.environ.get("NGINX") or shutil.which("nginx") or "/usr/sbin/nginx"
    module = os.environ.get("NCHAN_MODULE") or "/usr/lib/nginx/modules/ngx_nchan_module.so"
    return (nginx, module) if Path(nginx).is_file() and Path(module).is_file() else None


def our_modules():
    folder = Path(os.environ.get("WEBSOCKET_MODULES") or TOP / "target/modules").resolve()
    for name in ("mod_websocket.so", "mod_websocket_echo.so"):
        if not (folder / name).is_file():
            raise Unusable(f"{folder / name} is not there: run make first")
    return folder


def httpd_program():
    if os.environ.get("HTTPD"):
        return Path(os.environ["HTTPD"])
    return Path(apxs("sbindir")) / apxs("progname")


def available_mpms(httpd, modules):
    """One is compiled in, or they are modules."""
    compiled_in = subprocess.run([httpd, "-l"], check=True, capture_output=True, text=True).stdout
    mpms = ("event", "worker")
    return [mpm for mpm in mpms if f" {mpm}.c\n" in compiled_in or (modules / f"mod_mpm_{mpm}.so").exists()]


def apxs(name):
    program = os.environ.get("APXS") or shutil.which("apxs") or shutil.which("apxs2")
    if not program:
        raise Unusable("no apxs: install apache2-dev, or set APXS, or HTTPD and HTTPD_MODULES")
    return subprocess.run([program, "-q", name], check=True, capture_output=True, text=True).stdout.strip()


def run(*command, cwd=None):
    command = [str(word) for word in command]
    if subprocess.run(command, cwd=cwd, stdout=sys.stderr, check=False).returncode:
        raise Unusable(f"this failed: {' '.join(command)}")
