/// The main function of every test program: says what is tested, and with which seed and threads, then runs the cases.

#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>

#include "coppice/engine/parallel.h"
#include "coppice/engine/version.h"

#ifdef __clang__
#define COPPICE_COMPILER "clang " __clang_version__
#else
#define COPPICE_COMPILER "gcc " __VERSION__
#endif

int main(int argc, char** argv) {
  doctest::Context context;
  context.setOption("order-by", "file");
  context.applyCommandLine(argc, argv);
  if (!context.shouldExit())
    std::printf("coppice %s, %s, %d threads\n", coppice::kVersion.data(), COPPICE_COMPILER, coppice::num_threads());
  return context.run();
}
