#include "app.h"

#include <cstdint>

namespace coppice::cli {

CLI::App* App::command(const std::string& name, const std::string& description, const std::string& examples) {
  CLI::App* sub = parser.add_subcommand(name, description);
  sub->description("Examples:\n" + examples + "\n\n" + description);
  sub->add_flag("--json", json, "Results as one JSON document");
  sub->add_flag("-q,--quiet", quiet, "No notes or progress on stderr");
  sub->add_option("--threads", threads, "Threads to use (default: COPPICE_NUM_THREADS, else all processors)")
      ->transform(whole(1, 256));
  const auto limit = [&](const char* option, std::uint64_t& value, const char* what, std::uint64_t most = UINT64_MAX) {
    sub->add_option(option, value, what)->group("Limits")->transform(whole(0, most));
  };
  limit("--limit-file-bytes", read.limits.file_bytes, "Largest file that is read");
  limit("--limit-header-bytes", read.limits.header_bytes,
        "Largest header, pickle, zip directory, index or architecture; all names of a .pt together");
  limit("--limit-tensors", read.limits.tensors, "Most tensors in a file");
  limit("--limit-rank", read.limits.rank, "Most axes of a tensor");
  limit("--limit-name-bytes", read.limits.name_bytes, "Longest name of a tensor");
  limit("--limit-nesting", read.limits.nesting, "Deepest nesting of a pickle, an index or a description of modules",
        1000);
  limit("--limit-objects", read.limits.objects, "Most values in a pickle or description of modules");
  limit("--limit-shards", read.limits.shards, "Most files that the index of shards names");
  limit("--limit-extra-bytes", read.limits.extra_bytes, "Most memory beyond the size of the file");
  limit("--limit-inflate-ratio", read.limits.inflate_ratio, "Most times that a compressed member may grow");
  sub->add_flag("--strict", read.strict, "Refuse files that hold anything but tensors, where it would be left out")
      ->group("Reading");
  const auto reading = [&](const char* option, bool& value, const char* what) {
    sub->add_flag(option, value, what)->group("Reading");
  };
  reading("--widen-f8", read.widen_f8, "Read numbers of eight bits (F8_E4M3 …) as float32; else they are left out");
  reading("--v2-is-bf16", read.v2_is_bf16, "Read NumPy's type V2 as bfloat16; else it is left out or refused");
  reading("--follow-links", read.follow_links, "Follow links in the place of shards wherever they lead");
  if (name != "verify")
    sub->add_flag_callback(
           "--no-checksums", [this] { read.verify = false; },
           "Do not compare the checksums that files carry: faster, but a flipped bit goes unnoticed")
        ->group("Reading");
  return sub;
}

}  // namespace coppice::cli
