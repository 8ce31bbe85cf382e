/* fail.h: how the functions of base report what the operating system refused. */
#ifndef CAMBIUM_BASE_FAIL_H
#define CAMBIUM_BASE_FAIL_H

#include <cambium/status.h>

/* Reports that `doing` ("reading", "opening", "making the folder") failed for `path` with `error_number` and returns
 * CB_NOT_FOUND where the path does not exist (with the nearest name beside it, if one is near), CB_INVALID where it is
 * a folder, else CB_IO. */
enum cb_status cb__fail_errno(struct cb_diag *diag, const struct cb_place *at, int error_number, const char *doing,
                              const char *path);

#endif
