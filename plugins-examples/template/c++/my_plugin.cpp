// my_plugin: greets, and numbers the texts that a client sends.
//
//     <Location "/my_plugin">
//       SetHandler websocket-handler
//       WebSocketHandler modules/mod_websocket_my_plugin.so my_plugin_init
//       WebSocketPluginOption greeting "Hello!"
//     </Location>
//
// websocket_plugin.h says of each function when it is called, and on which thread. No exception may leave one: they are
// noexcept, and catch what may be thrown in them.

#include <exception>
#include <memory>
#include <new>
#include <string>
#include <string_view>

#include "websocket_plugin.h"

namespace {

// What is kept for one WebSocket.
struct Connection {
    unsigned long count = 0;
};

void send_text(const WebSocketServer *server, std::string_view text)
{
    server->send(server, MESSAGE_TYPE_TEXT, reinterpret_cast<const unsigned char *>(text.data()), text.size());
}

// Checks the options, while httpd reads its configuration.
const char *CALLBACK configure(_WebSocketPlugin *, const WebSocketOption *options, size_t option_count) noexcept
{
    for (size_t i = 0; i < option_count; i++)
        if (std::string_view(options[i].name) != "greeting")
            return "unknown option: there is greeting";
    return nullptr;
}

// A client asks for a WebSocket. To refuse it, call server->reject and return nullptr.
void *CALLBACK on_connect(const WebSocketServer *) noexcept
{
    auto *connection = new (std::nothrow) Connection;

    return connection != nullptr ? connection : WEBSOCKET_CONNECT_ERROR;
}

// The WebSocket is open.
void CALLBACK on_open(void *, const WebSocketServer *server) noexcept
{
    const char *greeting = server->option_get(server, "greeting");

    send_text(server, greeting != nullptr ? greeting : "Hello!");
}

size_t CALLBACK on_message(void *plugin_private, const WebSocketServer *server, const int type, unsigned char *buffer,
                           const size_t buffer_size) noexcept
{
    auto &connection = *static_cast<Connection *>(plugin_private);

    if (type != MESSAGE_TYPE_TEXT) {
        server->send(server, type, buffer, buffer_size);
        return buffer_size;
    }
    try {
        std::string answer = std::to_string(++connection.count) + ": ";
        answer.append(reinterpret_cast<const char *>(buffer), buffer_size);
        send_text(server, answer);
    } catch (const std::exception &) {
        server->close_with(server, 1011, nullptr, 0);
    }
    return buffer_size;
}

// The last callback of a connection. The line is in httpd's ErrorLog with "LogLevel websocket:info".
void CALLBACK on_disconnect(void *plugin_private, const WebSocketServer *server) noexcept
{
    std::unique_ptr<Connection> connection(static_cast<Connection *>(plugin_private));

    try {
        std::string line = "my_plugin: " + std::to_string(connection->count) + " texts";
        server->log(server, WEBSOCKET_LOG_INFO, line.c_str());
    } catch (const std::exception &) {
        // There is no memory for the line.
    }
}

WebSocketPlugin plugin;

} // namespace

extern "C" EXPORT WebSocketPlugin *CALLBACK my_plugin_init(void)
{
    plugin.size = sizeof plugin;
    plugin.version = WEBSOCKET_PLUGIN_VERSION_1;
    plugin.on_connect = on_connect;
    plugin.on_message = on_message;
    plugin.on_disconnect = on_disconnect;
    plugin.configure = configure;
    plugin.on_open = on_open;
    return &plugin;
}
