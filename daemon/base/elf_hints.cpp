#include "base/elf_hints.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <memory>
#include <string_view>

#include "base/unique_fd.h"

namespace berth {
namespace {

constexpr size_t kLongestName = 255;

struct ElfEnd {
    void operator()(Elf *elf) const { elf_end(elf); }
};
using ElfHandle = std::unique_ptr<Elf, ElfEnd>;

bool in_name(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// Runs of such characters that end with a zero byte and begin behind something else.
void find_names(std::string_view bytes, std::set<std::string> &out) {
    for (size_t at = 0; at < bytes.size();) {
        size_t start = at;
        while (at < bytes.size() && in_name(bytes[at]))
            at++;
        bool whole = at > start && at < bytes.size() && bytes[at] == 0 && !(bytes[start] >= '0' && bytes[start] <= '9');
        if (whole && at - start <= kLongestName && (start == 0 || static_cast<unsigned char>(bytes[start - 1]) < ' '))
            out.emplace(bytes.substr(start, at - start));
        at = at == start ? at + 1 : at;
    }
}

class Reader {
  public:
    explicit Reader(Elf *elf) : elf_(elf) {}

    ElfHints read() {
        for (Elf_Scn *at = nullptr; (at = elf_nextscn(elf_, at)) != nullptr;) {
            GElf_Shdr header;
            if (!gelf_getshdr(at, &header))
                continue;
            if (header.sh_type == SHT_REL || header.sh_type == SHT_RELA)
                references(at, header);
            else if (header.sh_type == SHT_PROGBITS && (header.sh_flags & SHF_ALLOC) && !(header.sh_flags & SHF_EXECINSTR))
                texts(at);
        }
        hints_.names.assign(names_.begin(), names_.end());
        return std::move(hints_);
    }

  private:
    void texts(Elf_Scn *section) {
        Elf_Data *data = elf_getdata(section, nullptr);
        if (data && data->d_buf)
            find_names({static_cast<const char *>(data->d_buf), data->d_size}, names_);
    }

    void references(Elf_Scn *section, const GElf_Shdr &header) {
        Elf_Scn *symbols = elf_getscn(elf_, header.sh_link);
        GElf_Shdr table;
        if (!symbols || !gelf_getshdr(symbols, &table) || table.sh_type != SHT_DYNSYM)
            return;
        Elf_Data *relocations = elf_getdata(section, nullptr), *names = elf_getdata(symbols, nullptr);
        for (int i = 0; relocations && names && i >= 0; i++) {
            size_t symbol;
            if (!symbol_of(relocations, header.sh_type, i, &symbol))
                return;
            GElf_Sym entry;
            const char *name = gelf_getsym(names, static_cast<int>(symbol), &entry) && entry.st_shndx != SHN_UNDEF
                                   ? elf_strptr(elf_, table.sh_link, entry.st_name)
                                   : nullptr;
            if (name && *name)
                hints_.own_references.insert(name);
        }
    }

    // libelf says where the table ends.
    static bool symbol_of(Elf_Data *relocations, GElf_Word type, int i, size_t *out) {
        GElf_Rela rela;
        GElf_Rel rel;
        if (type == SHT_RELA && gelf_getrela(relocations, i, &rela))
            *out = GELF_R_SYM(rela.r_info);
        else if (type == SHT_REL && gelf_getrel(relocations, i, &rel))
            *out = GELF_R_SYM(rel.r_info);
        else
            return false;
        return true;
    }

    Elf *elf_;
    std::set<std::string> names_;
    ElfHints hints_;
};

} // namespace

Result<ElfHints> read_elf_hints(const std::string &path) {
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd)
        return Error{1, path + ": " + strerrordesc_np(errno)};
    elf_version(EV_CURRENT);
    ElfHandle elf(elf_begin(fd.get(), ELF_C_READ, nullptr));
    if (!elf || elf_kind(elf.get()) != ELF_K_ELF)
        return Error{1, path + ": is no ELF file"};
    return Reader(elf.get()).read();
}

} // namespace berth
