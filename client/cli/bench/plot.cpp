#include "bench/plot.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace berth::cli {
namespace {

constexpr double kLeft = 70, kRight = 930, kTop = 60, kBottom = 440; // of the plot in the picture
constexpr double kWidth = 960, kHeight = 640, kLegend = 500, kLegendRow = 22;
constexpr double kMostNines = 4; // 99.99 %

struct Axis {
    double low, high; // powers of ten, in nanoseconds
    double x(double ns) const {
        double share = (std::log10(std::max(ns, 1.0)) - low) / (high - low);
        return kLeft + std::clamp(share, 0.0, 1.0) * (kRight - kLeft);
    }
};

double y_of(double share) {
    double nines = share >= 1 ? kMostNines : std::min(-std::log10(1 - share), kMostNines);
    return kBottom - nines / kMostNines * (kBottom - kTop);
}

template <class... Args> std::string printed(const char *format, Args... args) {
    char text[512];
    snprintf(text, sizeof text, format, args...);
    return text;
}

std::string escaped(const std::string &text) {
    std::string out;
    for (char c : text)
        out += c == '<' ? "&lt;" : c == '&' ? "&amp;" : c == '>' ? "&gt;" : std::string(1, c);
    return out;
}

std::string label(double x, double y, const char *anchor, const std::string &text, const char *more = "") {
    return printed("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\"%s>", x, y, anchor, more) + escaped(text) +
           "</text>\n";
}

std::string time_label(double ns) {
    if (ns < 1e3)
        return printed("%.3g ns", ns);
    return ns < 1e6 ? printed("%.3g µs", ns / 1e3) : printed("%.3g ms", ns / 1e6);
}

Axis axis_for(const std::vector<Series> &series) {
    double low = 1e12, high = 1;
    for (const auto &s : series)
        if (s.samples->count()) {
            low = std::min(low, static_cast<double>(s.samples->percentile(0)));
            high = std::max(high, static_cast<double>(s.samples->percentile(0.9999)));
        }
    double first = std::floor(std::log10(std::clamp(low, 1.0, high)));
    return {first, std::max(first + 1, std::ceil(std::log10(high)))};
}

std::string grid(const Axis &axis) {
    std::string out;
    for (double power = axis.low; power < axis.high + 0.5; power++)
        for (int step : {1, 2, 5}) {
            double ns = step * std::pow(10, power), x = axis.x(ns);
            if (std::log10(ns) > axis.high + 1e-9)
                break;
            out += printed("<line class=\"%s\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.0f\" y2=\"%.0f\"/>\n",
                           step == 1 ? "major" : "minor", x, x, kTop, kBottom);
            out += label(x, kBottom + 18, "middle", time_label(ns));
        }
    for (double share : {0.0, 0.5, 0.9, 0.99, 0.999, 0.9999}) {
        double y = y_of(share);
        out +=
            printed("<line class=\"major\" x1=\"%.0f\" x2=\"%.0f\" y1=\"%.1f\" y2=\"%.1f\"/>\n", kLeft, kRight, y, y);
        out += label(kLeft - 8, y + 4, "end", printed("%.4g %%", share * 100));
    }
    return out;
}

std::string line_style(const Series &series) {
    return "stroke=\"" + series.colour + "\"" + (series.dashed ? " stroke-dasharray=\"6 4\"" : "");
}

// A step for each bucket, but none closer than a third of a pixel to the last.
std::string curve(const Series &series, const Axis &axis) {
    if (series.samples->count() == 0)
        return "";
    std::string points = printed("%.1f,%.1f", axis.x(static_cast<double>(series.samples->percentile(0))), kBottom);
    double last_x = -1, last_y = -1;
    for (const auto &[ns, share] : series.samples->curve()) {
        double x = axis.x(static_cast<double>(ns)), y = y_of(share);
        if (std::abs(x - last_x) + std::abs(y - last_y) < 0.33)
            continue;
        points += printed(" %.1f,%.1f", x, y);
        last_x = x;
        last_y = y;
    }
    auto middle = static_cast<double>(series.samples->percentile(0.5));
    return "<polyline fill=\"none\" stroke-width=\"2\" " + line_style(series) + " points=\"" + points + "\"/>\n" +
           printed("<circle r=\"4\" cx=\"%.1f\" cy=\"%.1f\" fill=\"%s\"/>\n", axis.x(middle), y_of(0.5),
                   series.colour.c_str());
}

std::string legend(const Series &series, double y) {
    std::string out = printed("<line stroke-width=\"3\" %s x1=\"%.0f\" x2=\"%.0f\" y1=\"%.1f\" y2=\"%.1f\"/>\n",
                              line_style(series).c_str(), kLeft, kLeft + 36, y - 4, y - 4);
    out += label(kLeft + 46, y, "start", series.name);
    if (series.samples->count() == 0)
        return out + label(kRight, y, "end", "not measured");
    const double shares[] = {0.5, 0.99, 0.999};
    const char *names[] = {"p50 ", "p99 ", "p99.9 "};
    for (int i = 0; i < 3; i++)
        out += label(kRight - 150 * (2 - i), y, "end",
                     names[i] + time_label(static_cast<double>(series.samples->percentile(shares[i]))));
    return out;
}

std::string frame(const std::string &title) {
    return printed("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" font-family=\"sans-serif\" "
                   "font-size=\"12\" fill=\"#222\">\n",
                   kWidth, kHeight) +
           "<style>.major{stroke:#ccc}.minor{stroke:#eee}</style>\n<rect width=\"100%\" height=\"100%\" "
           "fill=\"#fff\"/>\n" +
           label(kLeft, 30, "start", title, " font-size=\"16\"") +
           label(kRight, kBottom + 38, "end", "round trip; the dots are medians") +
           label(kLeft - 8, kTop - 14, "end", "share");
}

} // namespace

std::string plot_svg(const std::vector<Series> &series, const std::string &title) {
    Axis axis = axis_for(series);
    std::string svg = frame(title) + grid(axis);
    double y = kLegend;
    for (const auto &s : series) {
        svg += curve(s, axis) + legend(s, y);
        y += kLegendRow;
    }
    return svg + "</svg>\n";
}

std::string plot_of(const Results &r) {
    return plot_svg({{"bare spinning ping-pong", &r.limit_spin, "#1b7837", true},
                     {"berth_call, hot", &r.call_hot, "#1b7837"},
                     {"bare futex ping-pong", &r.limit_futex, "#2166ac", true},
                     {"bare futex, after a pause", &r.limit_futex_paced, "#67a9cf", true},
                     {"berth_call, after a pause", &r.call_asleep, "#2166ac"},
                     {"unix socket", &r.unix_socket, "#b2182b"}},
                    "64 bytes there and back between two processes");
}

} // namespace berth::cli
