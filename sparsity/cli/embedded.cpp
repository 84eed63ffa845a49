// Real inputs inside the program, placed by the assembler: no generated source, nothing to find at run time.
#include "data.h"
#include "embedded_stamp.h"

#define COPPICE_EMBED(symbol, path)                                                                      \
  __asm__(".section .rodata\n.balign 64\n.global " #symbol "_begin\n" #symbol "_begin:\n.incbin \"" path \
          "\"\n.global " #symbol "_end\n" #symbol "_end:\n.byte 0\n.previous\n");                        \
  extern "C" const char symbol##_begin[], symbol##_end[]

COPPICE_EMBED(coppice_digits, COPPICE_DATA_DIR "/digits.csv.gz");
COPPICE_EMBED(coppice_lenet, COPPICE_DATA_DIR "/lenet_digits.pt");
COPPICE_EMBED(coppice_lenet_arch, COPPICE_DATA_DIR "/lenet_digits.arch.json");

namespace coppice::cli::embedded {

std::string_view digits_csv_gz() {
  return {coppice_digits_begin, static_cast<std::size_t>(coppice_digits_end - coppice_digits_begin)};
}
std::string_view lenet_digits_pt() {
  return {coppice_lenet_begin, static_cast<std::size_t>(coppice_lenet_end - coppice_lenet_begin)};
}
std::string_view lenet_arch_json() {
  return {coppice_lenet_arch_begin, static_cast<std::size_t>(coppice_lenet_arch_end - coppice_lenet_arch_begin)};
}

}  // namespace coppice::cli::embedded
