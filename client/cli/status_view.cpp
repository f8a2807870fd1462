#include "status_view.h"

#include <algorithm>

#include "table.h"

namespace berth::cli {
namespace {

using Names = std::vector<std::string>;

// Long, and seldom what people look for: --json has them.
const Names kNotForPeople = {"file", "library"};

bool contains(const Names &names, const std::string &name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

bool ends_with(const std::string &text, const std::string &end) {
    return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

std::string list_text(const Json &list) {
    std::string text;
    for (const auto &item : list)
        text += (text.empty() ? "" : ", ") + (item.is_string() ? item.get<std::string>() : dump(item));
    return text.empty() ? "-" : text;
}

// The users whose workers say something else of a module; what that is, --json has.
std::string uids_text(const Json &differs) {
    Json uids = Json::array();
    for (const auto &words : differs)
        uids.push_back(words.is_object() && words.contains("uid") ? words["uid"] : words);
    return "uid " + list_text(uids);
}

std::string cell_text(const std::string &key, const Json &value) {
    if (value.is_null())
        return "-";
    if (value.is_string())
        return value.get_ref<const std::string &>().empty() ? "-" : value.get<std::string>();
    if (value.is_number() && ends_with(key, "_bytes"))
        return human_bytes(value.get<double>());
    if (value.is_array())
        return key == "differs" ? uids_text(value) : list_text(value);
    return dump(value);
}

std::string heading(const std::string &key) { return ends_with(key, "_bytes") ? key.substr(0, key.size() - 6) : key; }

// `first` are the columns everyone expects, in their order; what else the rows have follows.
Names columns_of(const Json &rows, Names first) {
    for (const auto &row : rows)
        if (row.is_object())
            for (const auto &[key, value] : row.items())
                if (!contains(first, key) && !contains(kNotForPeople, key))
                    first.push_back(key);
    return first;
}

std::string rows_text(const Json &rows, const Names &first, const std::string &none) {
    if (!rows.is_array() || rows.empty())
        return none + "\n";
    Names keys = columns_of(rows, first), headings;
    std::transform(keys.begin(), keys.end(), std::back_inserter(headings), heading);
    Table table(headings);
    for (const auto &row : rows) {
        Names cells;
        for (const auto &key : keys)
            cells.push_back(row.is_object() && row.contains(key) ? cell_text(key, row[key]) : "-");
        table.add(std::move(cells));
    }
    return table.text();
}

Json part(const Json &status, const char *key) {
    return status.is_object() && status.contains(key) ? status[key] : Json();
}

std::string daemon_text(const Json &daemon) {
    if (!daemon.is_object())
        return "";
    Table table({"daemon", ""});
    for (const auto &[key, value] : daemon.items())
        table.add({heading(key), cell_text(key, value)});
    return table.text() + "\n";
}

// Few modules have some.
std::string zygotes_text(const Json &zygotes) {
    if (!zygotes.is_array() || zygotes.empty())
        return "";
    return "\nzygotes\n" + rows_text(zygotes, {"pid", "module", "state", "forks", "rss_bytes"}, "none");
}

} // namespace

Json modules_of(const Json &status) {
    Json modules = part(status, "modules"), list = Json::array();
    if (modules.is_array())
        return modules;
    if (modules.is_object())
        for (const auto &[name, value] : modules.items()) {
            Json row = {{"name", name}};
            if (value.is_object())
                row.update(value);
            list.push_back(row);
        }
    return list;
}

std::string modules_text(const Json &status) {
    return rows_text(modules_of(status), {"name", "version", "workers", "contexts"}, "no modules");
}

std::string status_text(const Json &status) {
    return daemon_text(part(status, "daemon")) + "modules\n" + modules_text(status) + "\nworkers\n" +
           rows_text(part(status, "workers"), {"pid", "module", "state", "uses", "rss_bytes"}, "none") +
           zygotes_text(part(status, "zygotes")) + "\ncontexts\n" +
           rows_text(part(status, "contexts"), {"id", "module", "worker_pid", "host_pid", "state", "in_flight"},
                     "none");
}

} // namespace berth::cli
