#pragma once
/// First of all headers: an older language ends the compilation here with one line, not with a page of errors.

#if defined(__cplusplus) && __cplusplus <= 201703L
// A missing file is the one error that compilers stop at; its name is the message.
#include "coppice needs C++20: compile with -std=c++20"
#endif
