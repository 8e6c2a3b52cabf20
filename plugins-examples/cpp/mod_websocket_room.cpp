/*
 * A room in C++20: what one says, all hear, and a thread says every ten seconds how many there are.
 *
 *     <Location "/room">
 *       SetHandler websocket-handler
 *       WebSocketHandler modules/mod_websocket_cpp_room.so room_init
 *     </Location>
 *
 *     c++ -std=c++20 -Wall -Wextra -O2 -shared -fPIC -pthread -Wl,--version-script=exports.map \
 *         -I "$(apxs -q INCLUDEDIR)" -o mod_websocket_cpp_room.so mod_websocket_room.cpp
 *
 * Each callback is noexcept and keeps what is thrown inside (guarded): an exception that left one would end the process,
 * and all connections in it.
 */

#include "websocket_plugin.h"

#include <chrono>
#include <condition_variable>
#include <csignal>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>

namespace {

using namespace std::chrono_literals;

class Room;

/* One WebSocket. Alive from on_connect to on_disconnect; the room has it as long. */
struct Member {
    const WebSocketServer *server;
    std::shared_ptr<Room> room;
};

/* Who is there. Its lock is never held while somebody is waited for: try_send does not wait. */
class Room {
public:
    void join(const WebSocketServer *server)
    {
        std::lock_guard lock(mutex_);
        members_.emplace(server, 0U);
    }

    void leave(const WebSocketServer *server) noexcept
    {
        std::lock_guard lock(mutex_);
        members_.erase(server);
    }

    /* Whoever has no room for a message misses it; what it has missed is counted. */
    void say(std::string_view text)
    {
        std::lock_guard lock(mutex_);
        const auto *bytes = reinterpret_cast<const unsigned char *>(text.data());
        for (auto &[server, missed] : members_)
            if (server->try_send(server, MESSAGE_TYPE_TEXT, bytes, text.size())
                == WEBSOCKET_SEND_WOULD_BLOCK)
                missed++;
    }

    void say_how_many()
    {
        std::size_t count;
        {
            std::lock_guard lock(mutex_);
            count = members_.size();
        }
        say("here are " + std::to_string(count));
    }

private:
    std::mutex mutex_;
    std::map<const WebSocketServer *, unsigned> members_;
};

/* Of this process: child_start makes it, child_stop ends it. */
struct Process {
    std::shared_ptr<Room> room = std::make_shared<Room>();
    std::jthread clock;
};

std::unique_ptr<Process> process;

/* Runs `body`. What it throws goes to the log, and `failed` is the result. */
template <class Result, class Body>
Result guarded(const WebSocketServer *server, Result failed, Body body) noexcept
try {
    return body();
} catch (const std::exception &error) {
    server->log(server, WEBSOCKET_LOG_ERROR, error.what());
    return failed;
} catch (...) {
    server->log(server, WEBSOCKET_LOG_ERROR, "something else than an exception was thrown");
    return failed;
}

/* A thread gets no signals: those are httpd's. It begins with the mask of the one that starts it. */
std::jthread start_clock(std::shared_ptr<Room> room)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
        std::jthread clock([room = std::move(room)](std::stop_token stop) {
            std::mutex mutex;
            std::condition_variable_any changed;
            std::unique_lock lock(mutex);
            while (!changed.wait_for(lock, stop, 10s, [] { return false; })
                   && !stop.stop_requested())
                room->say_how_many();
        });
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
        return clock;
    } catch (...) {
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
        throw;
    }
}

extern "C" {

void CALLBACK child_start(WebSocketPlugin *, const WebSocketServer *server) noexcept
{
    guarded(server, false, [] {
        process = std::make_unique<Process>();
        process->clock = start_clock(process->room);
        return true;
    });
}

void CALLBACK child_stop(WebSocketPlugin *, int) noexcept
{
    process.reset(); /* tells the thread to stop, and joins it */
}

void *CALLBACK on_connect(const WebSocketServer *server) noexcept
{
    return guarded(server, WEBSOCKET_CONNECT_ERROR, [server]() -> void * {
        auto member = std::make_unique<Member>(Member{server, process->room});
        member->room->join(server);
        return member.release();
    });
}

std::size_t CALLBACK on_message(void *plugin_private, const WebSocketServer *server, const int type,
                                unsigned char *buffer, const std::size_t size) noexcept
{
    auto *member = static_cast<Member *>(plugin_private);
    const bool is_done = guarded(server, false, [=] {
        if (type == MESSAGE_TYPE_TEXT)
            member->room->say({reinterpret_cast<const char *>(buffer), size});
        return true;
    });
    if (!is_done)
        server->close_with(server, 1011, nullptr, 0);
    return size;
}

void CALLBACK on_disconnect(void *plugin_private, const WebSocketServer *server) noexcept
{
    std::unique_ptr<Member> member(static_cast<Member *>(plugin_private));
    member->room->leave(server);
}

} // extern "C"

} // namespace

/* extern "C": else its name is _Z9room_initv, and httpd does not find it. */
extern "C" EXPORT WebSocketPlugin *CALLBACK room_init()
{
    static WebSocketPlugin plugin;
    websocket_plugin_version_1(&plugin, on_message);
    plugin.child_start = child_start;
    plugin.child_stop = child_stop;
    plugin.on_connect = on_connect;
    plugin.on_disconnect = on_disconnect;
    return &plugin;
}
