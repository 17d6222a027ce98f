#include "arch/aarch64/virt/a64_mmio.h"
enum exit_action mmio_by_decoding(struct guest_frame *f, uint64_t esr, gpa_t where, uint64_t far)
{ (void)esr; (void)where; inject_abort(f, far, false, false); return EXIT_RESUME; }
