#pragma once
/// What a reader may spend on a file, and how it reads.

#include "coppice/engine/cxx20.h"

#include <cstdint>

namespace coppice {

/// Upper bounds on what a file may ask for. A file beyond one is refused with a LimitError that names the field.
///
/// The defaults let every ordinary model pass and keep a hostile file from costing more than moments and a few
/// gigabytes; a caller with an extraordinary model raises the one that the message names.
struct Limits {
  std::uint64_t file_bytes = std::uint64_t{1} << 42;  ///< size of the file
  /// Header of a safetensors file, pickle, directory of a zip, index of shards, architecture; all names of a .pt file.
  std::uint64_t header_bytes = std::uint64_t{1} << 24;
  std::uint64_t tensors = 1'000'000;  ///< tensors, and members of a zip
  std::uint64_t rank = 16;            ///< axes of a tensor
  std::uint64_t name_bytes = 4096;    ///< name of a tensor, key of metadata, name of a member
  std::uint64_t nesting = 64;         ///< depth of JSON and of containers in a pickle; 1000 at most
  std::uint64_t objects = 4'000'000;  ///< values of a description; values, stack, memo of a pickle
  /// Memory for values beyond the size of the file itself: inflated members, expanded views, masks and pruned weights
  /// of model files.
  std::uint64_t extra_bytes = std::uint64_t{1} << 31;
  /// Inflated over deflated size of a member above 16 MB.
  std::uint64_t inflate_ratio = 200;
  std::uint64_t shards = 4096;  ///< files that the index of a sharded checkpoint names
};

/// How a file is read.
struct ReadOptions {
  Limits limits = {};
  /// Map the file instead of reading it: values are shown in place, nothing is copied. Writing to them changes the
  /// memory of this process only. A file that somebody shortens while it is mapped ends the process (SIGBUS), unless it
  /// handles the signal (mapped_path_at() says which file it was): read files that others may change with
  /// `map = false`. Files below 64 KB are always read.
  bool map = true;
  /// Compare the checksums that the file carries: of zip members, and of the tensors of model files and other
  /// safetensors files that were written with checksums. It reads every byte. Without it a flipped bit goes unnoticed,
  /// as in PyTorch, and a mapped file is touched where it is used only.
  bool verify = true;
  bool strict = false;  ///< refuse a file that holds anything but tensors that this library has
};

}  // namespace coppice
