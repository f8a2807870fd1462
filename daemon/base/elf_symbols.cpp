#include "base/elf_symbols.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <map>
#include <memory>

#include "base/unique_fd.h"

namespace berth {
namespace {

struct ElfEnd {
    void operator()(Elf *elf) const { elf_end(elf); }
};
using ElfHandle = std::unique_ptr<Elf, ElfEnd>;

struct Section {
    GElf_Shdr header;
    Elf_Data *data = nullptr;
    explicit operator bool() const { return data != nullptr; }
    size_t count() const { return header.sh_entsize ? data->d_size / header.sh_entsize : 0; }
};

class Reader {
  public:
    Reader(Elf *elf, const std::string &path) : elf_(elf), path_(path) {}

    Result<ElfSymbols> read() {
        if (elf_kind(elf_) != ELF_K_ELF)
            return mistake("is no ELF file");
        GElf_Ehdr header;
        if (!gelf_getehdr(elf_, &header) || header.e_type != ET_DYN)
            return mistake("is no shared library");
        Section symbols = section(SHT_DYNSYM);
        if (!symbols)
            return mistake("has no table of dynamic symbols");
        read_soname();
        read_versions();
        read_symbols(symbols);
        std::sort(found_.symbols.begin(), found_.symbols.end());
        return std::move(found_);
    }

  private:
    Error mistake(const char *what) const { return Error{1, path_ + ": " + what}; }

    Section section(GElf_Word type) const {
        for (Elf_Scn *at = nullptr; (at = elf_nextscn(elf_, at)) != nullptr;) {
            Section found;
            if (gelf_getshdr(at, &found.header) && found.header.sh_type == type) {
                found.data = elf_getdata(at, nullptr);
                return found;
            }
        }
        return {};
    }

    // libelf checks that an offset lies in the table and that the string ends there.
    std::string text(const Section &section, size_t offset) const {
        const char *found = elf_strptr(elf_, section.header.sh_link, offset);
        return found ? found : "";
    }

    void read_soname() {
        Section dynamic = section(SHT_DYNAMIC);
        for (size_t i = 0; dynamic && i < dynamic.count(); i++) {
            GElf_Dyn entry;
            if (gelf_getdyn(dynamic.data, static_cast<int>(i), &entry) && entry.d_tag == DT_SONAME)
                found_.soname = text(dynamic, entry.d_un.d_val);
        }
    }

    // Entries are chained by offsets, in a file that may say anything: an offset only ever grows.
    void read_versions() {
        Section definitions = section(SHT_GNU_verdef);
        GElf_Verdef entry;
        for (size_t at = 0; definitions && gelf_getverdef(definitions.data, static_cast<int>(at), &entry);
             at += entry.vd_next) {
            read_version(definitions, at, entry);
            if (entry.vd_next == 0 || at + entry.vd_next >= definitions.data->d_size)
                break;
        }
    }

    void read_version(const Section &definitions, size_t at, const GElf_Verdef &entry) {
        ElfVersion version;
        GElf_Verdaux name;
        size_t where = at + entry.vd_aux;
        for (unsigned i = 0; i < entry.vd_cnt && where < definitions.data->d_size; i++, where += name.vda_next) {
            if (!gelf_getverdaux(definitions.data, static_cast<int>(where), &name))
                break;
            if (i == 0)
                version.name = text(definitions, name.vda_name);
            else
                version.parents.push_back(text(definitions, name.vda_name));
            if (name.vda_next == 0)
                break;
        }
        if (entry.vd_flags & VER_FLG_BASE)
            return;
        version_names_[entry.vd_ndx] = version.name;
        found_.versions.push_back(std::move(version));
    }

    static bool exported(const GElf_Sym &symbol) {
        int binding = GELF_ST_BIND(symbol.st_info), visibility = GELF_ST_VISIBILITY(symbol.st_other);
        return symbol.st_shndx != SHN_UNDEF && symbol.st_shndx != SHN_ABS &&
               (binding == STB_GLOBAL || binding == STB_WEAK || binding == STB_GNU_UNIQUE) &&
               (visibility == STV_DEFAULT || visibility == STV_PROTECTED);
    }

    void read_symbols(const Section &symbols) {
        Section versions = section(SHT_GNU_versym);
        for (size_t i = 1; i < symbols.count(); i++) {
            GElf_Sym symbol;
            if (gelf_getsym(symbols.data, static_cast<int>(i), &symbol) && exported(symbol))
                add(symbols, symbol, versions, static_cast<int>(i));
        }
    }

    void add(const Section &symbols, const GElf_Sym &symbol, const Section &versions, int index) {
        constexpr GElf_Versym kHidden = 0x8000;
        ElfSymbol out;
        out.name = text(symbols, symbol.st_name);
        int type = GELF_ST_TYPE(symbol.st_info);
        out.is_function = type == STT_FUNC || type == STT_GNU_IFUNC || type == STT_NOTYPE;
        out.is_weak = GELF_ST_BIND(symbol.st_info) == STB_WEAK;
        GElf_Versym version = VER_NDX_GLOBAL;
        if (versions)
            gelf_getversym(versions.data, index, &version);
        if ((version & ~kHidden) == VER_NDX_LOCAL || out.name.empty())
            return;
        if (auto named = version_names_.find(version & ~kHidden); named != version_names_.end()) {
            out.version = named->second;
            out.is_default = !(version & kHidden);
        }
        found_.symbols.push_back(std::move(out));
    }

    Elf *elf_;
    const std::string &path_;
    std::map<unsigned, std::string> version_names_;
    ElfSymbols found_;
};

} // namespace

Result<ElfSymbols> read_elf_symbols(const std::string &path) {
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (fd.get() < 0)
        return Error{1, path + ": " + strerrordesc_np(errno)};
    elf_version(EV_CURRENT);
    ElfHandle elf(elf_begin(fd.get(), ELF_C_READ, nullptr));
    if (!elf)
        return Error{1, path + ": " + elf_errmsg(-1)};
    return Reader(elf.get(), path).read();
}

std::string elf_symbol_text(const ElfSymbol &symbol) {
    if (symbol.version.empty())
        return symbol.name;
    return symbol.name + (symbol.is_default ? "@@" : "@") + symbol.version;
}

} // namespace berth
