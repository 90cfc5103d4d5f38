/* Stands in for FoundationDB's C library (libfdb_c) when the program is linked. Each of its functions jumps to where a
   pointer says, and the pointers are filled once the real library is loaded, which happens only for a node that keeps
   its rows in FoundationDB. So the program starts on machines that do not have the library.

   In C, since the pointers are used by nothing but the jumps, whose arguments and results no code here may touch. */

#include <dlfcn.h>
#include <stddef.h>

/* Goes on at the loaded function, with all registers and the stack as the caller left them. */
#if defined(__x86_64__)
#define JUMP(name) "\tendbr64\n\tjmp *loaded_" #name "(%rip)\n"
#elif defined(__aarch64__)
#define JUMP(name) "\tadrp x16, loaded_" #name "\n\tldr x16, [x16, :lo12:loaded_" #name "]\n\tbr x16\n"
#else
#error "FoundationDB has no library for this processor"
#endif

/* The section is named: at file level, the compiler may just have been writing data, which cannot be run. */
#define SYMBOL(name)                                                                                                   \
    __attribute__((visibility("hidden"), used)) void *loaded_##name;                                                   \
    __asm__(".pushsection .text\n\t.balign 16\n\t.globl " #name "\n\t.type " #name ", %function\n" #name ":\n"         \
            JUMP(name) "\t.size " #name ", . - " #name "\n\t.popsection\n");
#include "symbols.h"
#undef SYMBOL

static const struct {
    const char *name;
    void **place;
} symbols[] = {
#define SYMBOL(name) {#name, &loaded_##name},
#include "symbols.h"
#undef SYMBOL
};

/* Loads the library from `path`, or from where the system looks when that is a bare file name. Returns 0 when every
   function was found. Otherwise nothing has changed, and `problem` is the system's complaint (1) or the name of a
   function that the library lacks (2). */
int conclave_fdb_load(const char *path, const char **problem)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        *problem = dlerror();
        return 1;
    }
    const size_t count = sizeof symbols / sizeof *symbols;
    for (size_t i = 0; i < count; i++) {
        if (dlsym(library, symbols[i].name) == NULL) {
            *problem = symbols[i].name;
            dlclose(library);
            return 2;
        }
    }
    for (size_t i = 0; i < count; i++)
        *symbols[i].place = dlsym(library, symbols[i].name);
    return 0;
}
