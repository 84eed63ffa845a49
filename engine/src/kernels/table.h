#pragma once
/// How a file that is compiled once per level names the table that it defines: COPPICE_TABLE(kDense_) is kDense_v3 in
/// the compilation with -DCOPPICE_LEVEL=v3.

#define COPPICE_JOIN2(a, b) a##b
#define COPPICE_JOIN(a, b) COPPICE_JOIN2(a, b)
#define COPPICE_TABLE(prefix) COPPICE_JOIN(prefix, COPPICE_LEVEL)
