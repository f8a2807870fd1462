#include "row_run.h"

#include <fmt/format.h>

namespace berth::table {
namespace {

constexpr int kTimeoutMs = 60000;

class RowRun {
  public:
    RowRun(Binding &binding, const Json &row) : binding_(binding), module_(row["module"]) {}

    // What differs; empty: nothing does. Throws BadTable.
    std::string step(const Json &step) {
        std::string operation = step.is_object() ? step.value("do", "") : "";
        auto known = kOperations.find(operation);
        if (known == kOperations.end())
            throw BadTable("unknown operation: " + operation);
        check_keys(step, known->second.needed, known->second.allowed);
        return (this->*known->second.run)(step);
    }

    std::string close_all() {
        std::string why;
        for (auto &[name, context] : contexts_)
            if (Closed closed = context->close(); closed.ret != "OK" && why.empty())
                why = fmt::format("closing \"{}\": {}", name, closed.ret.empty() ? "no answer" : closed.ret);
        contexts_.clear();
        return why;
    }

  private:
    struct Operation {
        std::string (RowRun::*run)(const Json &);
        std::vector<std::string> needed, allowed;
    };
    static const std::map<std::string, Operation> kOperations;

    static Json expectation(const Json &step) {
        Json expect = step.value("expect", Json::object());
        check_expectation(expect);
        return expect;
    }
    static std::string input(const Json &step) { return step.contains("input") ? bytes_of(step["input"]) : ""; }
    static int timeout(const Json &step) { return step.value("timeout_ms", kTimeoutMs); }

    const std::shared_ptr<Context> &on(const Json &step) {
        auto found = contexts_.find(step.value("on", ""));
        if (found == contexts_.end())
            throw BadTable("no such context is open: \"" + step.value("on", "") + "\"");
        return found->second;
    }
    const std::shared_ptr<Context> &of(const Json &step) {
        auto found = requests_.find(step["id"]);
        if (found == requests_.end())
            throw BadTable("no request of this id: " + step["id"].dump());
        return found->second;
    }

    std::string open(const Json &step) {
        Json expect = expectation(step);
        std::string name = step.value("as", "");
        if (contexts_.contains(name))
            throw BadTable("open already: \"" + name + "\"");
        Opened opened = binding_.open(step.value("module", module_), input(step), step.value("max_in_flight", 0u));
        if (opened.context)
            contexts_[name] = opened.context;
        return difference(expect, opened.reply);
    }
    std::string call(const Json &step) {
        Json expect = expectation(step);
        return difference(expect, on(step)->call(step["method"], input(step), timeout(step)));
    }
    std::string submit(const Json &step) {
        if (requests_.contains(step["id"]))
            throw BadTable("twice: id " + step["id"].dump());
        requests_[step["id"]] = on(step);
        on(step)->submit(step["id"], step["method"], input(step));
        return "";
    }
    std::string wait(const Json &step) {
        Json expect = expectation(step);
        return difference(expect, of(step)->wait(step["id"]));
    }
    std::string cancel(const Json &step) {
        of(step)->cancel(step["id"]);
        return "";
    }
    std::string listen(const Json &step) { return difference(Json::object(), on(step)->listen(step["event"])); }
    std::string unlisten(const Json &step) { return difference(Json::object(), on(step)->unlisten(step["event"])); }
    std::string events(const Json &step) {
        size_t count = step["count"];
        Json expect = step["expect"];
        if (!expect.is_array())
            expect = Json(count, expect);
        if (expect.size() != count)
            throw BadTable("as many expectations as events");
        for (const Json &one : expect)
            check_expectation(one);
        std::vector<std::string> events = on(step)->take(step["event"], count);
        if (events.size() != count)
            return fmt::format("{} events came, not {}", events.size(), count);
        for (size_t i = 0; i < count; i++)
            if (std::string why = difference(expect[i], Reply{"OK", events[i], {}}, i); !why.empty())
                return fmt::format("event {}: {}", i, why);
        return "";
    }
    std::string call_static(const Json &step) {
        Json expect = expectation(step);
        return difference(expect, binding_.call_static(step.value("module", module_), step["method"], input(step),
                                                       timeout(step)));
    }
    std::string close(const Json &step) {
        std::shared_ptr<Context> context = on(step);
        contexts_.erase(step.value("on", ""));
        return difference(step.value("expect", Json::object()), context->close());
    }

    Binding &binding_;
    std::string module_;
    std::map<std::string, std::shared_ptr<Context>> contexts_; // that are open
    std::map<std::string, std::shared_ptr<Context>> requests_; // what was submitted where
};

const std::map<std::string, RowRun::Operation> RowRun::kOperations = {
    {"open", {&RowRun::open, {"do"}, {"as", "module", "input", "max_in_flight", "expect"}}},
    {"call", {&RowRun::call, {"do", "method"}, {"on", "input", "timeout_ms", "expect"}}},
    {"submit", {&RowRun::submit, {"do", "id", "method"}, {"on", "input"}}},
    {"wait", {&RowRun::wait, {"do", "id"}, {"expect"}}},
    {"cancel", {&RowRun::cancel, {"do", "id"}, {}}},
    {"listen", {&RowRun::listen, {"do", "event"}, {"on"}}},
    {"events", {&RowRun::events, {"do", "event", "count", "expect"}, {"on"}}},
    {"unlisten", {&RowRun::unlisten, {"do", "event"}, {"on"}}},
    {"static", {&RowRun::call_static, {"do", "method"}, {"module", "input", "timeout_ms", "expect"}}},
    {"close", {&RowRun::close, {"do"}, {"on", "expect"}}},
};

// A value of a wrong type is the table's fault too.
std::string step_difference(RowRun &run, const Json &step) {
    try {
        return run.step(step);
    } catch (const BadTable &bad) {
        return bad.what();
    } catch (const Json::exception &bad) {
        return bad.what();
    }
}

} // namespace

std::optional<Failure> run_row(Binding &binding, const Json &row) {
    check_keys(row, {"name", "module", "steps"}, {"fails_at"});
    RowRun run(binding, row);
    const Json &steps = row["steps"];
    std::optional<Failure> failure;
    for (size_t i = 0; i < steps.size() && !failure; i++)
        if (std::string why = step_difference(run, steps[i]); !why.empty())
            failure = Failure{i, fmt::format("({}) {}", steps[i].value("do", ""), why)};
    if (std::string why = run.close_all(); !why.empty() && !failure)
        failure = Failure{steps.size(), why};
    return failure;
}

} // namespace berth::table
