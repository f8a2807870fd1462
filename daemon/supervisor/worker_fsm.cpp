// The legal transitions; a pair that has no row is illegal. Where the action is Kill the state stays until Exited.
//
//   from      event         to        action
//   Spawning  Ready         Idle      -
//             LoadFailed    Retiring  -            it ends by itself, by the bound
//             Retire        Retiring  SendRetire
//             ControlLost   Retiring  -
//             TimeUp        Retiring  Kill         its module does not load
//   Idle      Lease         Leased    -
//             Retire        Retiring  SendRetire
//             ControlLost   Retiring  -
//   Leased    Closing       Draining  -            the host told the worker itself, through the segment
//             Recall        Draining  SendRecycle
//             TeardownBegan Recycling -            before the host's word came, or `create` failed
//             Recycled      Idle      -            the same, and quick
//             RecycledLast  Retiring  SendRetire
//             HostBroke     Retiring  -
//             ControlLost   Retiring  -
//   Draining  as Leased, and
//             Closing       Draining  -            the host's word after the supervisor's
//             TimeUp        Retiring  Kill
//   Recycling Recycled      Idle      -
//             RecycledLast  Retiring  SendRetire
//             Closing, Recall: nothing, what they ask for is under way
//             HostBroke     Retiring  -
//             ControlLost   Retiring  -
//             TimeUp        Retiring  Kill
//   Retiring  TimeUp        Retiring  Kill
//             what the worker sent before it knew: Ready, LoadFailed, TeardownBegan, Recycled, RecycledLast, HostBroke,
//             ControlLost;
//             what others ask of it: Closing, Recall, Retire: nothing
//   living    Misbehaved    Retiring  Kill
//             Exited        Dead      -
#include "supervisor/worker_fsm.h"

#include <algorithm>
#include <iterator>

namespace berth {
namespace {

using S = WorkerState;
using E = WorkerEvent;
using A = WorkerAction;

struct Row {
    S from;
    E event;
    S to;
    A action;
};

constexpr Row kRows[] = {
    {S::Spawning, E::Ready, S::Idle, A::Nothing},
    {S::Spawning, E::LoadFailed, S::Retiring, A::Nothing},
    {S::Spawning, E::Retire, S::Retiring, A::SendRetire},
    {S::Spawning, E::ControlLost, S::Retiring, A::Nothing},
    {S::Spawning, E::TimeUp, S::Retiring, A::Kill},
    {S::Spawning, E::Misbehaved, S::Retiring, A::Kill},
    {S::Spawning, E::Exited, S::Dead, A::Nothing},
    {S::Idle, E::Lease, S::Leased, A::Nothing},
    {S::Idle, E::Retire, S::Retiring, A::SendRetire},
    {S::Idle, E::ControlLost, S::Retiring, A::Nothing},
    {S::Idle, E::Misbehaved, S::Retiring, A::Kill},
    {S::Idle, E::Exited, S::Dead, A::Nothing},
    {S::Leased, E::Closing, S::Draining, A::Nothing},
    {S::Leased, E::Recall, S::Draining, A::SendRecycle},
    {S::Leased, E::TeardownBegan, S::Recycling, A::Nothing},
    {S::Leased, E::Recycled, S::Idle, A::Nothing},
    {S::Leased, E::RecycledLast, S::Retiring, A::SendRetire},
    {S::Leased, E::HostBroke, S::Retiring, A::Nothing},
    {S::Leased, E::ControlLost, S::Retiring, A::Nothing},
    {S::Leased, E::Misbehaved, S::Retiring, A::Kill},
    {S::Leased, E::Exited, S::Dead, A::Nothing},
    {S::Draining, E::Closing, S::Draining, A::Nothing},
    {S::Draining, E::Recall, S::Draining, A::SendRecycle},
    {S::Draining, E::TeardownBegan, S::Recycling, A::Nothing},
    {S::Draining, E::Recycled, S::Idle, A::Nothing},
    {S::Draining, E::RecycledLast, S::Retiring, A::SendRetire},
    {S::Draining, E::HostBroke, S::Retiring, A::Nothing},
    {S::Draining, E::ControlLost, S::Retiring, A::Nothing},
    {S::Draining, E::TimeUp, S::Retiring, A::Kill},
    {S::Draining, E::Misbehaved, S::Retiring, A::Kill},
    {S::Draining, E::Exited, S::Dead, A::Nothing},
    {S::Recycling, E::Closing, S::Recycling, A::Nothing},
    {S::Recycling, E::Recall, S::Recycling, A::Nothing},
    {S::Recycling, E::Recycled, S::Idle, A::Nothing},
    {S::Recycling, E::RecycledLast, S::Retiring, A::SendRetire},
    {S::Recycling, E::HostBroke, S::Retiring, A::Nothing},
    {S::Recycling, E::ControlLost, S::Retiring, A::Nothing},
    {S::Recycling, E::TimeUp, S::Retiring, A::Kill},
    {S::Recycling, E::Misbehaved, S::Retiring, A::Kill},
    {S::Recycling, E::Exited, S::Dead, A::Nothing},
    {S::Retiring, E::Ready, S::Retiring, A::Nothing},
    {S::Retiring, E::LoadFailed, S::Retiring, A::Nothing},
    {S::Retiring, E::Closing, S::Retiring, A::Nothing},
    {S::Retiring, E::Recall, S::Retiring, A::Nothing},
    {S::Retiring, E::TeardownBegan, S::Retiring, A::Nothing},
    {S::Retiring, E::Recycled, S::Retiring, A::Nothing},
    {S::Retiring, E::RecycledLast, S::Retiring, A::Nothing},
    {S::Retiring, E::Retire, S::Retiring, A::Nothing},
    {S::Retiring, E::HostBroke, S::Retiring, A::Nothing},
    {S::Retiring, E::ControlLost, S::Retiring, A::Nothing},
    {S::Retiring, E::TimeUp, S::Retiring, A::Kill},
    {S::Retiring, E::Misbehaved, S::Retiring, A::Kill},
    {S::Retiring, E::Exited, S::Dead, A::Nothing},
};

const Row *find_row(S from, E event) {
    auto row = std::find_if(std::begin(kRows), std::end(kRows),
                            [&](const Row &r) { return r.from == from && r.event == event; });
    return row == std::end(kRows) ? nullptr : row;
}

bool must_end(S state) { return state == S::Draining || state == S::Recycling || state == S::Retiring; }

} // namespace

const char *name_of(WorkerState state) {
    static constexpr const char *kNames[kWorkerStateCount] = {"Spawning",  "Idle",     "Leased", "Draining",
                                                              "Recycling", "Retiring", "Dead"};
    return kNames[static_cast<int>(state)];
}

const char *name_of(WorkerEvent event) {
    static constexpr const char *kNames[kWorkerEventCount] = {
        "Ready",        "LoadFailed", "Lease",     "Closing",     "Recall",     "TeardownBegan", "Recycled",
        "RecycledLast", "Retire",     "HostBroke", "ControlLost", "Misbehaved", "TimeUp",        "Exited"};
    return kNames[static_cast<int>(event)];
}

void WorkerFsm::enter(WorkerState state, uint64_t now_ms, uint64_t bound_ms) {
    if (state == state_) {
        if (bound_ms != 0)
            deadline_ms_ = std::min(deadline_ms_.value_or(UINT64_MAX), now_ms + bound_ms);
        return;
    }
    state_ = state;
    since_ms_ = now_ms;
    deadline_ms_.reset();
    if (must_end(state))
        deadline_ms_ = now_ms + bound_ms;
}

WorkerAction WorkerFsm::handle(WorkerEvent event, uint64_t now_ms, uint64_t bound_ms) {
    const Row *row = find_row(state_, event);
    if (!row)
        return A::Illegal;
    enter(row->to, now_ms, bound_ms);
    // After a Kill only Exited is awaited: a second one would do no more.
    if (row->action == A::Kill)
        deadline_ms_.reset();
    return row->action;
}

} // namespace berth
