// A host without exceptions or RTTI, in the oldest language that berth.hpp takes, that uses all of it once.
#include <berth/berth.hpp>
#include <cstdio>

namespace {

int failures = 0;

void expect(bool so, const char *what) {
    if (so)
        return;
    std::printf("not so: %s\n", what);
    failures++;
}

void use(berth::Context &context) {
    const berth::Milliseconds minute(60000);
    berth::Result<berth::Method> echo = context.method("echo");
    expect(echo && context.call(*echo, "call", minute)->text() == "call", "a call by id");
    expect(context.call("echo", "name", minute)->text() == "name", "a call by name");
    expect(context.async("echo", "future").get()->text() == "future", "a future");
    std::promise<std::string> said;
    expect(bool(context.submit(*echo, "submit", [&](const berth::Answer &answer) { said.set_value(answer.bytes.str()); })),
           "a callback's request is taken");
    expect(said.get_future().get() == "submit", "a callback");
    std::promise<std::size_t> heard;
    auto listener = context.listen("tick", [&](berth::Bytes event) { heard.set_value(event.size()); });
    expect(bool(context.call("emit", "\xa2\x65" "count\x01\x65" "bytes\x04", minute)), "an event is sent");
    expect(heard.get_future().get() == 4, "an event comes");
    expect(listener && context.unlisten(*listener), "unlisten");
    expect(context.call("no-such-method", {}, minute).ret() == BERTH_RET_INVALID_ARGUMENT, "an error");
    auto died = context.call("die", "\xa1\x63how\x65" "abort", minute);
    expect(!died && died.error().death() && died.error().death()->signal == 6, "a death");
}

} // namespace

int main() {
    berth::ConnectOptions options;
    options.supervisor = berth::ConnectOptions::Supervisor::Private;
    berth::Result<berth::Client> client = berth::Client::connect(options);
    expect(bool(client), "connect");
    berth::Result<berth::Context> context = client ? client->open("echo") : client.error();
    expect(bool(context), "open");
    if (context) {
        use(*context);
        expect(context->close()->outcome == berth::Closed::Outcome::Killed, "close");
        expect(bool(client->call_static("echo", "version", {}, berth::kForever)), "a context-free call");
        expect(bool(client->status()), "status");
        expect(bool(client->disconnect()), "disconnect");
    }
    std::printf("%d not so\n", failures);
    return failures != 0;
}
