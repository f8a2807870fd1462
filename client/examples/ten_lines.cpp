#include <berth/berth.hpp>
#include <iostream>

int main() {
    const char *request = "\xa1\x63sql\x78\x18SELECT sqlite_version();"; // CBOR: {"sql": "SELECT …"}
    auto client = berth::Client::connect();
    auto db = client ? client->open("sqlite") : client.error();
    auto rows = db ? db->call("query", request, std::chrono::seconds(1)) : db.error();
    std::cout << (rows ? "OK: " + rows->bytes().str() : rows.error().message()) << '\n';
    return rows ? 0 : 1;
}
