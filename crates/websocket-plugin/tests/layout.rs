//! The mirror in `abi` against the header that it mirrors.

// It needs a C compiler.
#![cfg(not(miri))]

use std::ffi::{c_char, c_int, c_long, c_uchar, c_uint, c_ulong, c_void};
use std::fmt::Write as _;
use std::mem::offset_of;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use websocket_plugin::abi::*;

/// Calls a macro with every table: the members that are not functions, then those that are.
macro_rules! tables {
    ($with:ident, $out:ident) => {
        $with!(
            $out,
            WebSocketServer {
                size,
                version,
                state
            } {
                request: WsRequest,
                header_get: WsHeaderGet,
                header_set: WsHeaderSet,
                protocol_count: WsProtocolCount,
                protocol_index: WsProtocolIndex,
                protocol_set: WsProtocolSet,
                send: WsSend,
                close: WsClose,
                close_with: WsCloseWith,
                try_send: WsTrySend,
                send_fragment: WsSendFragment,
                buffered_amount: WsBufferedAmount,
                option_get: WsOptionGet,
                variable_get: WsVariableGet,
                reject: WsReject,
                set_timer: WsSetTimer,
                log: WsLog,
                reject_with: WsRejectWith,
                subscribe: WsSubscribe,
                unsubscribe: WsUnsubscribe,
                publish: WsPublish,
                topic_count: WsTopicCount,
                topic_members: WsTopicMembers,
                send_many: WsSendMany,
            }
        );
        $with!(
            $out,
            WebSocketPlugin { size, version } {
                destroy: WsDestroy,
                on_connect: WsOnConnect,
                on_message: WsOnMessage,
                on_disconnect: WsOnDisconnect,
                configure: WsConfigure,
                child_start: WsChildStart,
                child_stop: WsChildStop,
                on_open: WsOnOpen,
                on_timer: WsOnTimer,
                on_writable: WsOnWritable,
                on_close: WsOnClose,
                on_pong: WsOnPong,
                on_topic: WsOnTopic,
            }
        );
        $with!($out, WebSocketOption { name, value } {});
        $with!(
            $out,
            WebSocketTopicEvent {
                size,
                kind,
                topic,
                id,
                message_type,
                buffer,
                buffer_size,
                count
            } {}
        );
    };
}

/// Calls a macro with every constant.
macro_rules! constants {
    ($with:ident, $out:ident) => {
        $with!(
            $out,
            MESSAGE_TYPE_INVALID,
            MESSAGE_TYPE_TEXT,
            MESSAGE_TYPE_BINARY,
            MESSAGE_TYPE_CLOSE,
            MESSAGE_TYPE_PING,
            MESSAGE_TYPE_PONG,
            MESSAGE_TYPE_UNCOMPRESSED,
            WEBSOCKET_SEND_ACCEPTED,
            WEBSOCKET_SEND_WOULD_BLOCK,
            WEBSOCKET_SEND_CLOSED,
            WEBSOCKET_SEND_INVALID,
            WEBSOCKET_LOG_ERROR,
            WEBSOCKET_LOG_WARNING,
            WEBSOCKET_LOG_NOTICE,
            WEBSOCKET_LOG_INFO,
            WEBSOCKET_LOG_DEBUG,
            WEBSOCKET_LOG_TRACE,
            WEBSOCKET_SERVER_VERSION_1,
            WEBSOCKET_PLUGIN_VERSION_0,
            WEBSOCKET_PLUGIN_VERSION_1,
            WEBSOCKET_CONNECT_ERROR,
            WEBSOCKET_ROUND_TRIP_UNKNOWN,
            WEBSOCKET_TOPIC_DONE,
            WEBSOCKET_TOPIC_LOST,
            WEBSOCKET_TOPIC_NOT_SO,
            WEBSOCKET_TOPIC_CLOSED,
            WEBSOCKET_TOPIC_INVALID,
            WEBSOCKET_TOPIC_UNAVAILABLE,
            WEBSOCKET_TOPIC_FULL,
            WEBSOCKET_TOPIC_TAKEN,
            WEBSOCKET_TOPIC_TOO_LARGE,
            WEBSOCKET_TOPIC_NAME_MOST,
            WEBSOCKET_TOPIC_MEMBER_MOST,
            WEBSOCKET_TOPICS_MOST,
            WEBSOCKET_TOPIC_ID_SIZE,
            WEBSOCKET_SUBSCRIBE_ON_TOPIC,
            WEBSOCKET_SUBSCRIBE_JSON,
            WEBSOCKET_SUBSCRIBE_PRESENCE,
            WEBSOCKET_SUBSCRIBE_UNIQUE,
            WEBSOCKET_PUBLISH_EXCLUDE_SELF,
            WEBSOCKET_PUBLISH_VOLATILE,
            WEBSOCKET_PUBLISH_RETAIN,
            WEBSOCKET_PUBLISH_UNCOMPRESSED,
            WEBSOCKET_TOPIC_CHILD,
            WEBSOCKET_TOPIC_HOST,
            WEBSOCKET_TOPIC_MESSAGE,
            WEBSOCKET_TOPIC_JOINED,
            WEBSOCKET_TOPIC_LEFT,
            WEBSOCKET_TOPIC_MEMBERS,
            WEBSOCKET_TOPIC_DROPPED,
            WEBSOCKET_TOPIC_GAP,
            WEBSOCKET_TOPIC_SKIP,
            WEBSOCKET_TOPIC_PASS
        );
    };
}

// ---------------------------------------------------------------------- sizes, offsets, values

#[test]
fn the_mirror_has_the_layouts_and_constants_of_the_header() {
    macro_rules! layout_of {
        ($out:ident, $table:ident { $($value:ident),* } { $($function:ident: $_type:ident,)* }) => {
            line!($out, stringify!($table), size_of::<$table>());
            layout_of!($out, $table $($value)* $($function)*);
        };
        ($out:ident, $table:ident $($member:ident)*) => {
            $(line!(
                $out,
                concat!(stringify!($table), ".", stringify!($member)),
                offset_of!($table, $member)
            );)*
        };
    }
    macro_rules! values_of {
        ($out:ident, $($constant:ident),*) => {
            $(line!($out, stringify!($constant), $constant as isize);)*
        };
    }
    macro_rules! line {
        ($out:ident, $name:expr, $value:expr) => {
            writeln!($out, "{} {}", $name, $value).unwrap()
        };
    }
    let mut mirrored = String::new();
    tables!(layout_of, mirrored);
    constants!(values_of, mirrored);
    line!(mirrored, "C module", WEBSOCKET_SERVER_SIZE_C_MODULE);
    line!(mirrored, "version 0", WEBSOCKET_PLUGIN_SIZE_VERSION_0);
    mirrored.push_str("has 0 1\n");

    let program = scratch("layout");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/layout.c");
    compile("cc", "CC", &["-std=c89"], &source, &program)
        .expect("no C compiler: install gcc, or set CC");
    let output = Command::new(program).output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), mirrored);
}

#[test]
fn the_header_is_also_good_cxx() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/layout.c");
    if compile("c++", "CXX", &["-xc++"], &source, &scratch("layout-cxx")).is_none() {
        eprintln!("skipped: no C++ compiler");
    }
}

// -------------------------------------------------------------------------------- function types

/// A type's name in C.
trait CType {
    const NAME: &str;
}

macro_rules! c_types {
    ($($rust:ty = $c:literal,)*) => {
        $(impl CType for $rust {
            const NAME: &str = $c;
        })*
    };
}

c_types! {
    () = "void",
    c_int = "int",
    c_uint = "unsigned int",
    c_ulong = "unsigned long",
    usize = "size_t",
    *const c_char = "const char *",
    *const c_uchar = "const unsigned char *",
    *mut c_uchar = "unsigned char *",
    *mut c_void = "void *",
    *mut c_char = "char *",
    c_long = "long",
    WsMember = "WS_Member",
    *const WebSocketTopicEvent = "const WebSocketTopicEvent *",
    *mut RequestRec = "struct request_rec *",
    *const WebSocketServer = "const WebSocketServer *",
    *const *const WebSocketServer = "const WebSocketServer *const *",
    *mut c_int = "int *",
    *const WebSocketOption = "const WebSocketOption *",
    *mut WebSocketPlugin = "WebSocketPlugin *",
}

/// A function type of the mirror, declared in C.
trait CFunction {
    /// `typedef <result> (CALLBACK *<name>)(<parameters>);`
    fn typedef(name: &str) -> String;
}

macro_rules! c_functions {
    ($(($($parameter:ident)*),)*) => {
        $(impl<Output: CType, $($parameter: CType),*> CFunction
            for Option<unsafe extern "C" fn($($parameter),*) -> Output>
        {
            fn typedef(name: &str) -> String {
                let parameters: &[&str] = &[$($parameter::NAME),*];
                let parameters = match parameters {
                    [] => "void".to_owned(),
                    some => some.join(", "),
                };
                format!("typedef {} (CALLBACK *{name})({parameters});", Output::NAME)
            }
        })*
    };
}

c_functions! {
    (),
    (A),
    (A B),
    (A B C),
    (A B C D),
    (A B C D E),
    (A B C D E F),
    (A B C D E F G),
}

/// A program that only compiles when each function of the mirror has the type of the header's.
#[test]
fn the_mirror_has_the_function_types_of_the_header() {
    macro_rules! functions_of {
        ($out:ident, $table:ident { $($value:ident),* } { $($function:ident: $type:ident,)* }) => {
            $(writeln!(
                $out,
                "{}\n{type} {type}_of(const {} *table);\n\
                 {type} {type}_of(const {1} *table) {{ return table->{}; }}",
                <$type as CFunction>::typedef(stringify!($type)),
                stringify!($table),
                stringify!($function),
                type = stringify!($type),
            ).unwrap();)*
        };
    }
    let mut program = String::from("#include \"websocket_plugin.h\"\n\n");
    tables!(functions_of, program);
    program.push_str(&<WsInit as CFunction>::typedef("WsInit"));
    program.push_str("\nWsInit wsinit_of(WS_Init init);\n");
    program.push_str("WsInit wsinit_of(WS_Init init) { return init; }\n");

    let source = scratch("functions.c");
    fs::write(&source, program).unwrap();
    compile(
        "cc",
        "CC",
        &["-std=c89", "-c"],
        &source,
        &scratch("functions.o"),
    )
    .expect("no C compiler: install gcc, or set CC");
}

// ------------------------------------------------------------------------------------ compiling

fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(folder).unwrap();
    folder.join(name)
}

/// `None` when there is no compiler.
fn compile(
    compiler: &str,
    variable: &str,
    flags: &[&str],
    source: &Path,
    output: &Path,
) -> Option<()> {
    let compiler = env::var(variable).unwrap_or_else(|_| compiler.to_owned());
    let compiled = Command::new(compiler)
        .args(["-Wall", "-Wextra", "-Werror", "-pedantic"])
        .args(flags)
        .arg("-I")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../include"))
        .arg(source)
        .arg("-o")
        .arg(output)
        .output()
        .ok()?;
    assert!(
        compiled.status.success(),
        "{}",
        String::from_utf8_lossy(&compiled.stderr)
    );
    Some(())
}
