/* object.c: whether a shared object is whole. dlopen maps what an ELF file's header promises and is killed by SIGBUS when
 * the file ends before that, so its segments are compared with its size first. Source: the ELF specification, TIS 1.2. */
#include "graph/object.h"

#if defined(__ELF__)
#include <dlfcn.h>
#include <elf.h>
#include <string.h>

#include "base/file.h"

#if UINTPTR_MAX > 0xFFFFFFFFu
typedef Elf64_Ehdr elf_header;
typedef Elf64_Phdr elf_segment;
#else
typedef Elf32_Ehdr elf_header;
typedef Elf32_Phdr elf_segment;
#endif

static bool reaches(uint64_t offset, uint64_t bytes, uint64_t size)
{
    return offset <= size && bytes <= size - offset;
}

/* The header of the object that holds this function, as it lies in memory. */
static const elf_header *own_header(void)
{
    static const char anchor = 0;
    Dl_info info;
    return dladdr(&anchor, &info) != 0 && info.dli_fbase != NULL && memcmp(info.dli_fbase, ELFMAG, SELFMAG) == 0
               ? info.dli_fbase
               : NULL;
}

static const char *fault_of(const unsigned char *data, uint64_t size)
{
    elf_header header;
    if (size < sizeof(header) || memcmp(data, ELFMAG, SELFMAG) != 0) {
        return NULL; /* no ELF file: dlopen says so in its own words */
    }
    memcpy(&header, data, sizeof(header));
    const elf_header *own = own_header();
    if (own != NULL && (header.e_machine != own->e_machine || header.e_ident[EI_CLASS] != own->e_ident[EI_CLASS] ||
                        header.e_ident[EI_DATA] != own->e_ident[EI_DATA])) {
        return "was built for another kind of processor than this program";
    }
    if (header.e_phentsize != sizeof(elf_segment)) {
        return NULL; /* of another machine: likewise */
    }
    if (!reaches(header.e_phoff, (uint64_t)header.e_phnum * sizeof(elf_segment), size)) {
        return "is cut short: its table of segments lies beyond its end";
    }
    for (unsigned i = 0; i < header.e_phnum; i++) {
        elf_segment segment;
        memcpy(&segment, data + header.e_phoff + i * sizeof(segment), sizeof(segment));
        if (segment.p_type == PT_LOAD && !reaches(segment.p_offset, segment.p_filesz, size)) {
            return "is cut short: a segment lies beyond its end";
        }
    }
    return NULL;
}

const char *cb__object_fault(const char *path)
{
    struct cb_mapping mapping;
    if (cb_file_map(path, &mapping, NULL, NULL) != CB_OK) {
        return NULL;
    }
    const char *fault = fault_of(mapping.data, mapping.bytes);
    cb_file_unmap(&mapping);
    return fault;
}
#else
const char *cb__object_fault(const char *path)
{
    (void)path;
    return NULL;
}
#endif
