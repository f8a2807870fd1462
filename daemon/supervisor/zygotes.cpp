#include "supervisor/zygotes.h"

#include <algorithm>

#include "supervisor/log.h"

namespace berth {

Zygotes::Zygotes(uv_loop_t *loop, Graveyard &graveyard, std::string program, const std::string &service,
                 ZygotesOwner &owner)
    : loop_(loop), graveyard_(graveyard), program_(std::move(program)), service_(service), owner_(owner),
      strays_(loop) {}

bool Zygotes::fork(const std::shared_ptr<Module> &module, const Identity &identity) {
    if (!module->manifest.zygote || stopping_)
        return false;
    auto &want = wants_.try_emplace({module.get(), identity}, Want{module, identity}).first->second;
    return want.zygote && want.zygote->fork();
}

size_t Zygotes::forks_under_way(const Module &module, const Identity &identity) const {
    auto found = wants_.find({&module, identity});
    return found == wants_.end() || !found->second.zygote ? 0 : found->second.zygote->forks_under_way();
}

// Until it is to be ended; 0: now.
uint64_t Zygotes::left_of(Want &want, uint64_t now) const {
    const Module &module = *want.module;
    if (!module.current || !module.manifest.zygote)
        return 0;
    if (!owner_.may_idle(want.identity) && (!want.zygote || want.zygote->forks_under_way() == 0))
        return 0;
    if (owner_.needs_workers(module, want.identity)) {
        want.unneeded_since_ms = 0;
        return kNever;
    }
    if (want.unneeded_since_ms == 0)
        want.unneeded_since_ms = now;
    uint64_t due = want.unneeded_since_ms + module.manifest.idle_timeout_ms;
    return due > now ? due - now : 0;
}

uint64_t Zygotes::start(Want &want, uint64_t now) {
    if (uint64_t left = want.backoff.left_ms(now))
        return left;
    auto zygote = Zygote::start(loop_, program_, service_, want.module, want.identity, *this);
    if (!zygote) {
        log::warn("no zygote for module {}: {}", want.module->manifest.name, zygote.error().text);
        want.backoff.failed(now);
        return want.backoff.left_ms(now);
    }
    want.zygote = zygote->get();
    zygotes_.emplace(want.zygote, std::move(*zygote));
    return kNever;
}

uint64_t Zygotes::keep() {
    uint64_t next = kNever, now = now_ms();
    for (auto at = wants_.begin(); at != wants_.end() && !stopping_;) {
        Want &want = at->second;
        uint64_t left = left_of(want, now);
        if (left == 0) {
            if (want.zygote)
                want.zygote->end();
            at = wants_.erase(at);
            continue;
        }
        next = std::min(next, left);
        if (!want.zygote && !want.cannot && want.unneeded_since_ms == 0)
            next = std::min(next, start(want, now));
        ++at;
    }
    return next;
}

void Zygotes::try_again(const Module &module) {
    for (auto &[key, want] : wants_) {
        if (key.first != &module)
            continue;
        want.cannot = false;
        want.backoff.succeeded();
    }
}

void Zygotes::shut_down() {
    stopping_ = true;
    wants_.clear();
    for (auto &[zygote, owned] : zygotes_)
        zygote->end();
}

std::vector<const Zygote *> Zygotes::list() const {
    std::vector<const Zygote *> all;
    for (const auto &[zygote, owned] : zygotes_)
        all.push_back(zygote);
    std::sort(all.begin(), all.end(), [](auto *a, auto *b) { return a->pid() < b->pid(); });
    return all;
}

void Zygotes::on_forked(Zygote &zygote, ForkedProcess forked, UniqueFd control) {
    owner_.on_forked(zygote.module(), zygote.identity(), std::move(forked), std::move(control));
    sweep_when_quiet();
}

void Zygotes::on_zygote_failed(Zygote &zygote, size_t forks, bool for_good) {
    if (auto found = wants_.find(key_of(zygote)); found != wants_.end() && found->second.zygote == &zygote) {
        Want &want = found->second;
        want.zygote = nullptr;
        want.cannot = for_good;
        if (now_ms() - zygote.started_ms() > Backoff::kMostMs)
            want.backoff.succeeded(); // it was a while ago that the last one failed
        want.backoff.failed(now_ms());
    }
    if (forks && !stopping_)
        owner_.on_forks_failed(zygote.module(), zygote.identity(), forks);
}

void Zygotes::on_zygote_exited(Zygote &zygote) {
    auto found = zygotes_.find(&zygote);
    graveyard_.take(std::move(found->second));
    zygotes_.erase(found);
    sweep_due_ = true;
    sweep_when_quiet();
    owner_.on_zygote_gone();
}

bool Zygotes::knows(pid_t pid) const {
    return owner_.is_worker(pid) ||
           std::any_of(zygotes_.begin(), zygotes_.end(), [&](const auto &entry) { return entry.first->pid() == pid; });
}

// While a fork is under way there may be a child of which its zygote is just about to tell.
void Zygotes::sweep_when_quiet() {
    bool quiet = std::all_of(zygotes_.begin(), zygotes_.end(),
                             [](const auto &entry) { return entry.first->forks_under_way() == 0; });
    if (!sweep_due_ || !quiet)
        return;
    sweep_due_ = false;
    strays_.sweep([this](pid_t pid) { return knows(pid); });
}

} // namespace berth
