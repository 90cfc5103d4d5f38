/* Stands in for FoundationDB's C library (libfdb_c) when the program is linked. Each of its functions jumps to where a
   pointer says, and the pointers are filled once the real library is loaded, which happens only for a node that keeps
   its rows in FoundationDB. So the program starts on machines that do not have the library.

   In C, since the pointers are used by nothing but the jumps, whose arguments and results no code here may touch. */

#include <dlfcn.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

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

int fdb_add_network_thread_completion_hook(void (*hook)(void *), void *parameter);
int fdb_stop_network(void);

static atomic_int running;

static void note_end(void *unused)
{
    (void)unused;
    running = 0;
}

/* Called by exit(), before the library's own clean-up, since the library was loaded before this was registered. Waits
   for five seconds at most: a program that does not end is worse than one that ends badly. */
static void stop(void)
{
    const struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};
    if (running)
        fdb_stop_network();
    for (int i = 0; running && i < 500; i++)
        nanosleep(&pause, NULL);
}

/* Has the network thread stopped when the program ends, on whatever way. A thread that still runs while the library is
   taken down crashes. For the moment between setting the network up and running it; returns the library's error. */
int conclave_fdb_stop_at_exit(void)
{
    int error = fdb_add_network_thread_completion_hook(note_end, NULL);
    if (error == 0 && atexit(stop) == 0)
        running = 1;
    return error;
}
