#include "supervisor/log_lines.h"

#include <algorithm>
#include <fmt/format.h>

namespace berth {
namespace {

// The length of the UTF-8 sequence that heads `text`; 0 when none does.
size_t sequence_length(std::string_view text) {
    auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
    unsigned lead = byte(0);
    size_t length = lead < 0x80 ? 1 : (lead >> 5) == 6 ? 2 : (lead >> 4) == 14 ? 3 : (lead >> 3) == 30 ? 4 : 0;
    if (length <= 1 || text.size() < length)
        return length == 1 ? 1 : 0;
    unsigned point = lead & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((byte(i) & 0xc0) != 0x80)
            return 0;
        point = point << 6 | (byte(i) & 0x3f);
    }
    static constexpr unsigned kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
    bool surrogate = point >= 0xd800 && point < 0xe000;
    bool c1_control = point >= 0x80 && point < 0xa0;
    return point < kLeast[length] || point > 0x10ffff || surrogate || c1_control ? 0 : length;
}

} // namespace

std::string printable(std::string_view line) {
    std::string out;
    out.reserve(line.size());
    while (!line.empty()) {
        auto c = static_cast<unsigned char>(line[0]);
        size_t length = sequence_length(line);
        if (length == 0 || (c < 0x20 && c != '\t') || c == 0x7f) {
            fmt::format_to(std::back_inserter(out), "\\x{:02x}", c);
            length = 1;
        } else {
            out.append(line.substr(0, length));
        }
        line.remove_prefix(length);
    }
    return out;
}

std::string_view cut(std::string_view text, size_t most) {
    if (text.size() <= most)
        return text;
    while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xc0) == 0x80)
        most--;
    return text.substr(0, most);
}

void LineSplitter::take(std::string_view part) {
    partial_.append(part.substr(0, kMaxLine - std::min(kMaxLine, partial_.size())));
}

std::vector<std::string> LineSplitter::feed(std::string_view bytes) {
    std::vector<std::string> lines;
    while (!bytes.empty()) {
        size_t end = bytes.find('\n');
        auto part = bytes.substr(0, end);
        if (!skipping_)
            take(part);
        bool ended = end != std::string_view::npos;
        bool full = partial_.size() + (ended ? 0 : 1) > kMaxLine;
        if (!skipping_ && (ended || full)) {
            if (ended && !partial_.empty() && partial_.back() == '\r')
                partial_.pop_back();
            lines.push_back(printable(partial_));
            partial_.clear();
        }
        skipping_ = !ended && (skipping_ || full);
        bytes.remove_prefix(ended ? end + 1 : bytes.size());
    }
    return lines;
}

std::vector<std::string> LineSplitter::finish() {
    std::vector<std::string> lines;
    if (!partial_.empty())
        lines.push_back(printable(partial_));
    partial_.clear();
    skipping_ = false;
    return lines;
}

void LogTail::push(std::string_view line) {
    line = cut(line, kMaxBytes - 1);
    lines_.emplace_back(line);
    bytes_ += line.size() + 1;
    while (lines_.size() > kMaxLines || bytes_ > kMaxBytes) {
        bytes_ -= lines_.front().size() + 1;
        lines_.pop_front();
    }
}

std::string LogTail::text() const { return fmt::format("{}", fmt::join(lines_, "\n")); }

} // namespace berth
