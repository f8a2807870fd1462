// berth for C++: the functions of berth.h as values that close themselves. Header only, C++17 or later, over berth.h
// and the standard library; it throws nothing, needs no exceptions (-fno-exceptions) and no RTTI, and has no thread of
// its own.
//
//   auto client = berth::Client::connect();
//   auto db = client->open("sqlite");
//   auto rows = db->call("query", request, std::chrono::seconds(1));
//   if (rows)
//       use(rows->bytes());
//   else
//       complain(rows.error().message());
//
// Three ways to an answer: Context::call waits on the calling thread, Context::async is a std::future, Context::submit
// runs a callback. Events come by callback (Context::listen). What they mean, and all that is not said here (order,
// threads, limits, the environment), is as berth.h has it; handle() leads there.
//
// Threads. A const function may be called from any thread, and from callbacks, at any time. Moving, closing and
// destroying a Client or Context is for one thread, when no other uses it.
//
// Callbacks run on the context's own threads, and must not throw: with exceptions, std::terminate.
//
// After fork() the child has FORKED of every object of its parent's, for good, and may connect for itself. Their
// ends wait for nothing there.
#ifndef BERTH_BERTH_HPP
#define BERTH_BERTH_HPP

#include "cpp/bytes.hpp"
#include "cpp/client.hpp"
#include "cpp/context.hpp"
#include "cpp/error.hpp"
#include "cpp/reply.hpp"
#include "cpp/result.hpp"

#endif
