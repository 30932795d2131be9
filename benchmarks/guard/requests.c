/* Callgrind's client requests as functions, so that the program that is counted can say what counts. */
#include <valgrind/callgrind.h>

int under_valgrind(void) { return (int) RUNNING_ON_VALGRIND; }
void begin(void) { CALLGRIND_START_INSTRUMENTATION; }
void zero(void) { CALLGRIND_ZERO_STATS; }
void dump(const char *name) { CALLGRIND_DUMP_STATS_AT(name); }
