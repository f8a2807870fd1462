// What a worker writes to its stdout and stderr, as lines fit for a log. Pure.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace berth {

// Cuts a stream of bytes into lines. A line of more than kMaxLine bytes is cut there, and the rest of it dropped.
class LineSplitter {
  public:
    static constexpr size_t kMaxLine = 4096;

    // Lines that `bytes` completes, printable.
    std::vector<std::string> feed(std::string_view bytes);
    // What stands there without its newline, as a line; empty if nothing does.
    std::vector<std::string> finish();

  private:
    void take(std::string_view part);

    std::string partial_;
    bool skipping_ = false; // the line has been cut and given out
};

// UTF-8 with tabs stays; every other byte becomes \xNN.
std::string printable(std::string_view line);

// `text` up to `most` bytes, without the sequence that this would split.
std::string_view cut(std::string_view text, size_t most);

// The last lines, for the report of a death.
class LogTail {
  public:
    static constexpr size_t kMaxLines = 20;
    static constexpr size_t kMaxBytes = 4096; // newlines between lines included

    void push(std::string_view line);
    std::string text() const;

  private:
    std::deque<std::string> lines_;
    size_t bytes_ = 0;
};

} // namespace berth
