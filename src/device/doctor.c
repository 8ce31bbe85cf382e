/* doctor.c: is this device sound? */
#include "device/internal.h"

enum cb_status cb_device_doctor(struct cb_device *device, struct cb_arena *arena, struct cb_doctor_result **out,
                                size_t *out_count, struct cb_diag *diag)
{
    (void)device;
    *out = CB_NEW_ARRAY(arena, struct cb_doctor_result, 1);
    *out_count = 0;
    return *out ? CB_OK : cb_fail(diag, CB_MEMORY, NULL, "out of memory while examining a device");
}
