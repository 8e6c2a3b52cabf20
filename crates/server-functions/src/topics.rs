//! What a plugin does with topics: `subscribe`, `unsubscribe`, `publish`, `topic_count`, `topic_members`.

use std::ffi::{CStr, c_char, c_int, c_long, c_uchar, c_uint, c_void};
use std::fmt::Display;
use std::sync::Arc;

use session::Receiver;
use subscribers::{Form, NotSubscribed, Since, Subscribing, Terms, terms};
use topics::{
    EnterError, Flags, Kind, Member, Message, PublishError, SubscribeError, Token, Topic,
};
use websocket_plugin::abi::{self, WebSocketServer, WsMember};

use crate::arguments::{BAD_BUFFER, bytes, text, with};
use crate::served::{Served, Topics};

/// Why a call is refused: the ABI's word, and what the log says of it.
type Refusal = (c_int, String);

/// Who calls, a connection or a process: its topics, and where its mistakes are told.
pub(crate) struct Caller<'c> {
    pub topics: &'c dyn Topics,
    /// Whether what is published may wake its readers later: see [`Ringer`](crate::Ringer).
    pub gather: &'c dyn Fn(Arc<dyn Receiver>) -> bool,
    pub log_misuse: &'c dyn Fn(&dyn Display),
}

impl Caller<'_> {
    /// `publish`. `origin`: whose message it is.
    ///
    /// # Safety
    /// As [`send_out`].
    pub unsafe fn publish(
        &self,
        name: *const c_char,
        message: (c_int, *const c_uchar, usize),
        flags: c_uint,
        origin: u64,
        id: *mut c_char,
    ) -> c_int {
        // SAFETY: the caller's promise.
        let sent = unsafe { send_out(self, name, message, flags, origin, id) };
        self.told("publish", sent)
    }

    /// `topic_count`.
    ///
    /// # Safety
    /// `name` is NULL or terminated.
    pub unsafe fn count(&self, name: *const c_char, scope: c_int) -> c_long {
        // SAFETY: the caller's promise.
        let counted = unsafe { count(self.topics, name, scope) };
        self.number("topic_count", counted)
    }

    /// `topic_members`, up to the calls of the plugin: [`tell_members`].
    ///
    /// # Safety
    /// `name` is NULL or terminated.
    pub unsafe fn list(&self, name: *const c_char, members: &mut Vec<String>) -> c_long {
        // SAFETY: the caller's promise.
        let listed = unsafe { list(self.topics, name, members) };
        self.number("topic_members", listed)
    }

    fn number(&self, function: &str, counted: Result<usize, Refusal>) -> c_long {
        match counted {
            Ok(count) => c_long::try_from(count).unwrap_or(c_long::MAX),
            Err(refusal) => self.told(function, Err(refusal)).into(),
        }
    }

    /// The word for a call's result, whose refusal is told.
    fn told(&self, function: &str, result: Result<c_int, Refusal>) -> c_int {
        result.unwrap_or_else(|(word, reason)| {
            let is_nobodys_fault = matches!(
                word,
                abi::WEBSOCKET_TOPIC_CLOSED | abi::WEBSOCKET_TOPIC_TAKEN
            );
            if !is_nobodys_fault {
                (self.log_misuse)(&format_args!("{function}: {reason}"));
            }
            word
        })
    }
}

/// Calls `body` with a connection as a caller.
fn by<T>(connection: &impl Served, body: impl FnOnce(&Caller<'_>) -> T) -> T {
    body(&Caller {
        topics: connection.topics(),
        gather: &|receiver| connection.session().gather_for(receiver),
        log_misuse: &|reason| connection.log_misuse(reason),
    })
}

fn invalid(reason: impl Display) -> Refusal {
    (abi::WEBSOCKET_TOPIC_INVALID, reason.to_string())
}

fn unavailable(reason: impl Display) -> Refusal {
    (abi::WEBSOCKET_TOPIC_UNAVAILABLE, reason.to_string())
}

/// The topic that a plugin names.
///
/// # Safety
/// `name` is NULL or terminated.
unsafe fn topic(name: *const c_char) -> Result<Topic, Refusal> {
    // SAFETY: the caller's promise.
    let name = unsafe { text(name) }.ok_or_else(|| invalid("a topic's name is NULL"))?;
    Topic::from_bytes(name.to_bytes()).map_err(invalid)
}

pub(crate) unsafe extern "C" fn subscribe<C: Served>(
    server: *const WebSocketServer,
    name: *const c_char,
    since: *const c_char,
    member: *const c_char,
    flags: c_uint,
) -> c_int {
    // SAFETY: a plugin passes the table that it was given, and terminated strings or NULL.
    unsafe {
        with(server, abi::WEBSOCKET_TOPIC_CLOSED, |connection: &C| {
            let result = topic(name).and_then(|topic| {
                let (since, member) = (text(since), text(member));
                begin(connection, &topic, since, member, flags)
            });
            by(connection, |caller| caller.told("subscribe", result))
        })
    }
}

fn begin(
    connection: &impl Served,
    topic: &Topic,
    since: Option<&CStr>,
    member: Option<&CStr>,
    flags: c_uint,
) -> Result<c_int, Refusal> {
    let ended = || Err((word(NotSubscribed::Ended), NotSubscribed::Ended.to_string()));
    if connection.session().has_ended() {
        return ended();
    }
    let terms = wanted(connection, flags)?;
    let since = since.map_or(Ok(Since::Now), begin_at)?;
    let member = member.map(|text| Member::from_bytes(text.to_bytes()));
    let member = member.transpose().map_err(invalid)?;
    let is_unique = flags & abi::WEBSOCKET_SUBSCRIBE_UNIQUE != 0;
    if is_unique && member.is_none() {
        return Err(invalid(
            "WEBSOCKET_SUBSCRIBE_UNIQUE without a member's text",
        ));
    }
    let hub = connection.topics().hub().map_err(unavailable)?;
    let attendance = connection.attendance();
    let subscribed = attendance.subscribe(
        &hub,
        topic,
        since,
        member.as_ref().map(|member| (member, is_unique)),
        terms,
        connection.outlet(),
    );
    // Nobody ends an attendance that is made behind its connection's end. Whoever ends a connection ends its session first, under
    // the lock that is asked here: either this look sees the end, or the end sees this subscription.
    if subscribed.is_ok() && connection.session().has_ended() {
        attendance.unsubscribe(topic);
        return ended();
    }
    match subscribed {
        Ok(true) => Ok(abi::WEBSOCKET_TOPIC_DONE),
        Ok(false) => Ok(abi::WEBSOCKET_TOPIC_LOST),
        Err(error) => Err((word(error), error.to_string())),
    }
}

fn word(error: NotSubscribed) -> c_int {
    match error {
        NotSubscribed::Ended => abi::WEBSOCKET_TOPIC_CLOSED,
        NotSubscribed::Twice => abi::WEBSOCKET_TOPIC_INVALID,
        NotSubscribed::Refused(refused) => match refused {
            Subscribing::TooMany
            | Subscribing::Refused(SubscribeError::TopicsFull)
            | Subscribing::NoMember(EnterError::Full) => abi::WEBSOCKET_TOPIC_FULL,
            Subscribing::NoMember(EnterError::Taken) => abi::WEBSOCKET_TOPIC_TAKEN,
            Subscribing::Refused(_) | Subscribing::NoMember(_) => abi::WEBSOCKET_TOPIC_UNAVAILABLE,
        },
    }
}

/// What a subscription's flags say.
fn wanted(connection: &impl Served, flags: c_uint) -> Result<Terms, Refusal> {
    let has = |flag: c_uint| flags & flag != 0;
    let known = abi::WEBSOCKET_SUBSCRIBE_ON_TOPIC
        | abi::WEBSOCKET_SUBSCRIBE_JSON
        | abi::WEBSOCKET_SUBSCRIBE_PRESENCE
        | abi::WEBSOCKET_SUBSCRIBE_UNIQUE;
    if has(!known) {
        return Err(invalid("there is no such flag"));
    }
    let is_on_topic = has(abi::WEBSOCKET_SUBSCRIBE_ON_TOPIC);
    let form = match (is_on_topic, has(abi::WEBSOCKET_SUBSCRIBE_JSON)) {
        (true, true) => {
            return Err(invalid(
                "WEBSOCKET_SUBSCRIBE_ON_TOPIC and WEBSOCKET_SUBSCRIBE_JSON exclude each other",
            ));
        }
        (true, false) => Form::Letters,
        (false, true) => Form::Json,
        (false, false) => Form::Plain,
    };
    if is_on_topic && !connection.has_on_topic() {
        return Err(invalid("WEBSOCKET_SUBSCRIBE_ON_TOPIC without an on_topic"));
    }
    let is_told_of_members = has(abi::WEBSOCKET_SUBSCRIBE_PRESENCE);
    if is_told_of_members && form == Form::Plain {
        return Err(invalid(
            "WEBSOCKET_SUBSCRIBE_PRESENCE needs WEBSOCKET_SUBSCRIBE_ON_TOPIC or WEBSOCKET_SUBSCRIBE_JSON",
        ));
    }
    Ok(Terms {
        form,
        is_told_of_members,
        ..connection.topic_terms()
    })
}

/// Where a subscription begins.
fn begin_at(since: &CStr) -> Result<Since, Refusal> {
    let since = since.to_str().unwrap_or_default();
    let begin = match since.strip_prefix("last:") {
        Some(count) if count.bytes().all(|byte| byte.is_ascii_digit()) => {
            count.parse().ok().map(Since::Last)
        }
        Some(_) => None,
        None => since.parse::<Token>().ok().map(Since::Id),
    };
    begin.ok_or_else(|| invalid("since is neither an id nor \"last:N\""))
}

pub(crate) unsafe extern "C" fn unsubscribe<C: Served>(
    server: *const WebSocketServer,
    name: *const c_char,
) -> c_int {
    // SAFETY: a plugin passes the table that it was given, and a terminated string or NULL.
    unsafe {
        with(server, abi::WEBSOCKET_TOPIC_CLOSED, |connection: &C| {
            let result =
                topic(name).map(|topic| match connection.attendance().unsubscribe(&topic) {
                    true => abi::WEBSOCKET_TOPIC_DONE,
                    false if connection.session().has_ended() => abi::WEBSOCKET_TOPIC_CLOSED,
                    false => abi::WEBSOCKET_TOPIC_NOT_SO,
                });
            by(connection, |caller| caller.told("unsubscribe", result))
        })
    }
}

pub(crate) unsafe extern "C" fn publish<C: Served>(
    server: *const WebSocketServer,
    name: *const c_char,
    message_type: c_int,
    buffer: *const c_uchar,
    buffer_size: usize,
    flags: c_uint,
    id: *mut c_char,
) -> c_int {
    // SAFETY: a plugin passes the table that it was given; the rest as `send_out` wants it.
    unsafe {
        with(server, abi::WEBSOCKET_TOPIC_CLOSED, |connection: &C| {
            let message = (message_type, buffer, buffer_size);
            // Only for who has subscriptions does it matter whose message it is.
            let origin = match flags & abi::WEBSOCKET_PUBLISH_EXCLUDE_SELF {
                0 => 0,
                _ => connection.attendance().origin(),
            };
            by(connection, |caller| {
                caller.publish(name, message, flags, origin, id)
            })
        })
    }
}

/// # Safety
/// `name` is NULL or terminated, the buffer has so many bytes or is NULL, and `id` has room for an id or is NULL.
unsafe fn send_out(
    caller: &Caller<'_>,
    name: *const c_char,
    (message_type, buffer, buffer_size): (c_int, *const c_uchar, usize),
    flags: c_uint,
    origin: u64,
    id: *mut c_char,
) -> Result<c_int, Refusal> {
    // SAFETY: the caller's promise.
    let (topic, payload) = unsafe { (topic(name)?, bytes(buffer, buffer_size)) };
    let payload = payload.ok_or_else(|| invalid(BAD_BUFFER))?;
    let kind = match message_type {
        abi::MESSAGE_TYPE_TEXT if str::from_utf8(payload).is_ok() => Kind::Text,
        abi::MESSAGE_TYPE_TEXT => return Err(invalid("a text is not UTF-8")),
        abi::MESSAGE_TYPE_BINARY => Kind::Binary,
        _ => return Err(invalid("a message is neither text nor binary")),
    };
    let has = |flag: c_uint| flags & flag != 0;
    let known = abi::WEBSOCKET_PUBLISH_EXCLUDE_SELF
        | abi::WEBSOCKET_PUBLISH_VOLATILE
        | abi::WEBSOCKET_PUBLISH_RETAIN
        | abi::WEBSOCKET_PUBLISH_UNCOMPRESSED;
    if has(!known) {
        return Err(invalid("there is no such flag"));
    }
    let flags = Flags {
        retain: has(abi::WEBSOCKET_PUBLISH_RETAIN),
        volatile: has(abi::WEBSOCKET_PUBLISH_VOLATILE),
        exclude_origin: has(abi::WEBSOCKET_PUBLISH_EXCLUDE_SELF),
        uncompressed: has(abi::WEBSOCKET_PUBLISH_UNCOMPRESSED),
    };
    if flags.retain && flags.volatile {
        return Err(invalid(
            "WEBSOCKET_PUBLISH_VOLATILE and WEBSOCKET_PUBLISH_RETAIN exclude each other",
        ));
    }
    let epoch = caller.topics.log().map_err(unavailable)?.epoch();
    let message = Message {
        topic: &topic,
        kind,
        flags,
        origin,
        time: terms::now(),
        key: None,
        payload,
    };
    let published = caller.topics.publish(&message, caller.gather);
    let published = published.map_err(|error| match error {
        PublishError::TooLarge { .. } => (abi::WEBSOCKET_TOPIC_TOO_LARGE, error.to_string()),
        PublishError::TopicsFull | PublishError::RetainedFull => {
            (abi::WEBSOCKET_TOPIC_FULL, error.to_string())
        }
        PublishError::KeyReused | PublishError::NoLog | PublishError::Lock(_) => unavailable(error),
    })?;
    if !id.is_null() {
        let token = Token {
            epoch,
            id: published.id,
        };
        let token = token.to_string();
        debug_assert!(token.len() < abi::WEBSOCKET_TOPIC_ID_SIZE);
        // SAFETY: the caller's promise; a token is 16 digits, a hyphen and at most 20 digits.
        unsafe {
            id.copy_from_nonoverlapping(token.as_ptr().cast(), token.len());
            id.add(token.len()).write(0);
        }
    }
    Ok(abi::WEBSOCKET_TOPIC_DONE)
}

pub(crate) unsafe extern "C" fn topic_count<C: Served>(
    server: *const WebSocketServer,
    name: *const c_char,
    scope: c_int,
) -> c_long {
    // SAFETY: a plugin passes the table that it was given, and a terminated string or NULL.
    unsafe {
        with(
            server,
            abi::WEBSOCKET_TOPIC_CLOSED.into(),
            |connection: &C| by(connection, |caller| caller.count(name, scope)),
        )
    }
}

/// # Safety
/// `name` is NULL or terminated.
unsafe fn count(topics: &dyn Topics, name: *const c_char, scope: c_int) -> Result<usize, Refusal> {
    // SAFETY: the caller's promise.
    let topic = unsafe { topic(name) }?;
    let log = topics.log().map_err(unavailable)?;
    let count = match scope {
        abi::WEBSOCKET_TOPIC_HOST => {
            let history = log.history(&topic).map_err(unavailable)?;
            history.map_or(0, |history| history.subscribers())
        }
        abi::WEBSOCKET_TOPIC_CHILD => match topics.running() {
            Some(hub) => hub.subscribers(&topic).map_err(unavailable)?,
            None => 0,
        },
        _ => return Err(invalid("there is no such scope")),
    };
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

pub(crate) unsafe extern "C" fn topic_members<C: Served>(
    server: *const WebSocketServer,
    name: *const c_char,
    each: WsMember,
    data: *mut c_void,
) -> c_long {
    let mut members = Vec::new();
    // SAFETY: a plugin passes the table that it was given, and a terminated string or NULL.
    let count = unsafe {
        with(
            server,
            abi::WEBSOCKET_TOPIC_CLOSED.into(),
            |connection: &C| by(connection, |caller| caller.list(name, &mut members)),
        )
    };
    // SAFETY: the plugin gives a function and what belongs to it.
    unsafe { tell_members(&members, each, data) };
    count
}

/// # Safety
/// `name` is NULL or terminated.
unsafe fn list(
    topics: &dyn Topics,
    name: *const c_char,
    members: &mut Vec<String>,
) -> Result<usize, Refusal> {
    // SAFETY: the caller's promise.
    let topic = unsafe { topic(name) }?;
    let log = topics.log().map_err(unavailable)?;
    *members = log.members(&topic).map_err(unavailable)?;
    Ok(members.len())
}

/// Tells a plugin the members, behind the call to the server: it may call anything.
///
/// # Safety
/// `each` may be called with `data`.
pub(crate) unsafe fn tell_members(members: &[String], each: WsMember, data: *mut c_void) {
    if let Some(each) = each {
        for member in members {
            // SAFETY: the caller's promise; the text lives for the call.
            unsafe { each(data, member.as_ptr().cast(), member.len()) };
        }
    }
}
