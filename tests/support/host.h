// libberth as C++ values, for tests.
#pragma once

#include <atomic>
#include <ostream>
#include <string>
#include <vector>

#include "berth/berth.h"

namespace berth::test {

struct Answer {
    int ret = -1;
    std::string bytes;
    bool operator==(const Answer &) const = default;
};

inline std::ostream &operator<<(std::ostream &out, const Answer &answer) {
    return out << "ret " << answer.ret << ", " << answer.bytes.size() << " bytes: " << answer.bytes.substr(0, 80);
}

// A connection; disconnects, and checks that it can, at its end.
class Host {
  public:
    Host();                                     // a private supervisor
    explicit Host(const std::string &socket);   // a service
    enum class Private { FromFolder };
    Host(Private, const std::string &module_dir);
    ~Host();
    Host(const Host &) = delete;

    berth_client handle() const { return client_; }
    Answer status() const;
    Answer crashes() const;
    Answer reset(const std::string &module) const;
    std::vector<pid_t> workers() const; // pids, by the status
    pid_t supervisor() const;
    pid_t worker() const; // of the first context in the status
    void forget() { client_.bits = 0; } // the test has disconnected itself

  private:
    void connect(const berth_options &options);
    berth_client client_{0};
};

struct OpenOptions {
    uint32_t max_in_flight = 0;
    uint32_t stale_warn_ms = UINT32_MAX;
    uint32_t timeout_ms = 0;
    uint32_t flags = 0;
};

// A context; closes at its end if nobody did.
class Context {
  public:
    explicit Context(const Host &host, const std::string &module = "echo", const std::string &config = "",
                     const OpenOptions &options = {});
    ~Context();
    Context(const Context &) = delete;

    berth_context handle() const { return context_; }
    Answer call(const std::string &method, const std::string &data, int timeout_ms = 60000) const;
    // The berth_ret that accepts or refuses.
    int submit(const std::string &method, const std::string &data, berth_callback callback, void *user_data,
               uint64_t *id = nullptr) const;
    int close();
    void forget() { context_.bits = 0; }

  private:
    berth_context context_{0};
};

Answer open_answer(const Host &host, const std::string &module, const std::string &config = "",
                   berth_context *out = nullptr, const OpenOptions &options = {});
uint32_t method_id(const std::string &name);

// What came for one request: to be its callback's user_data, or noted from a completion.
struct Record {
    std::atomic<int> terminal{0}, pings{0}, pings_after{0};
    std::atomic<int> ret{-1};
    std::string bytes; // the terminal answer's; read it once terminal says so
    void note(int r, const uint8_t *data, size_t len);
    static void callback(int ret, const uint8_t *data, size_t len, void *user_data) {
        static_cast<Record *>(user_data)->note(ret, data, len);
    }
    bool answered() const { return terminal.load() > 0; }
};

// Reaps once, and notes each completion in the Record that its user_data points at. What berth_reap said.
int reap_into_records(berth_context context, int timeout_ms);

} // namespace berth::test
