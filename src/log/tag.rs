//! What log lines are about: `WSnnnn`.
//!
//! A tag means one thing for ever; a number is never used again for another.

use std::fmt;

macro_rules! tags {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)+) => {
        /// What a log line is about.
        #[derive(Clone, Copy)]
        pub enum Tag {
            $($(#[$doc])* $name = $number,)+
        }
    };
}

tags! {
    /// A panic of the module itself was caught.
    ModulePanicked = 1,
    /// A reactor thread met what should not happen.
    ReactorFault = 2,
    /// A child has died.
    ChildDied = 3,
    /// The log has not kept up with the lines for it.
    LinesLost = 9,
    /// A deprecated directive.
    DeprecatedDirective = 101,
    /// The MPM allows few WebSockets in a child.
    FewConnections = 102,
    /// A plugin's configure found a WebSocketPluginOption wrong.
    OptionRefused = 103,
    /// No shared memory for the figures.
    NoFigures = 104,
    /// WebSocketMessageMemory is too small for WebSocketMaxMessageSize.
    LittleMessageMemory = 105,
    /// The figures begin anew, since this build has another form for them.
    FiguresAnew = 106,
    /// The module has set AsyncRequestWorkerFactor.
    FactorSet = 107,
    /// A child accepts more connections than it has file descriptors.
    FewDescriptors = 108,
    /// Retired children that hold WebSockets may take all slots.
    FewSlots = 109,
    /// httpd's threads have too little stack for a line of its log.
    SmallStack = 110,
    /// An old version of a plugin's file stays mapped.
    OldVersion = 113,
    /// A plugin's table has members that its version does not let count.
    IgnoredMembers = 111,
    /// A plugin's option is where its reader does not see it.
    OptionUnread = 112,
    /// No shared memory for topics.
    NoTopics = 114,
    /// The log of topics keeps its size, or begins anew.
    TopicsKept = 115,
    /// SetHandler without WebSocketHandler, or the other way round.
    HandlerAlone = 116,
    /// WebSocketMaxConnections is more than a child takes.
    NeverReached = 117,
    /// Which module has been loaded.
    Loaded = 118,
    /// WebSockets keep connections to a database.
    DatabaseKept = 119,
    /// A request was answered instead of upgraded.
    NotAnUpgrade = 201,
    /// A bad opening handshake: 400.
    BadHandshake = 202,
    /// A refused Origin: 403.
    OriginRefused = 203,
    /// No plugin is configured: 500.
    NoPlugin = 204,
    /// The plugin's on_connect refused: 403.
    RefusedByPlugin = 205,
    /// The plugin failed in on_connect: 500.
    PluginFailed = 206,
    /// A WebSocket on a secondary connection (HTTP/2): 501.
    SecondaryConnection = 207,
    /// The connection was lost between the 101 and the first frame.
    OpenFailed = 208,
    /// The child holds as many WebSockets as it may: 503.
    TooManyConnections = 209,
    /// The client holds as many WebSockets as it may: 429.
    TooManyOfClient = 210,
    /// A request's topics cannot be named, or have no room.
    TopicsRefused = 211,
    /// What was to be published was not.
    NotPublished = 212,
    /// The Location holds as many WebSockets as it may: 503.
    TooManyInLocation = 213,
    /// A WebSocket was opened.
    Opened = 301,
    /// A WebSocket has ended.
    Ended = 302,
    /// The operator wants a WebSocket closed.
    CloseWanted = 303,
    /// Nobody may close WebSockets where everybody may ask for it.
    ActionRefused = 304,
    /// The system does not watch an open connection for us.
    NotWatched = 311,
    /// A plugin called a server function in a way that is refused.
    Misuse = 401,
    /// A plugin's callback takes very long.
    SlowCallback = 409,
    /// What a plugin itself logs.
    PluginSays = 402,
    /// A plugin's callback holds up the end of the process.
    StillRunning = 411,
    /// A frame has been read, or is about to be written (trace4).
    Frame = 501,
    /// The beginning of a frame's payload (trace8).
    Payload = 502,
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WS{:04}", *self as u16)
    }
}
