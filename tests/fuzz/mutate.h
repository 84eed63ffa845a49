#pragma once
/// Mutations that keep the frame of a format whole, so that most inputs reach what lies behind it. Each changes `data`
/// in place and returns its new size, at most `most`; now and then the raw bytes are changed instead, frame and all.

#include <cstddef>
#include <cstdint>

namespace coppice::fuzz {

/// safetensors: the header or the data; the length in front of the header stays true.
[[nodiscard]] std::size_t mutate_framed(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed);
/// A model file: the description of the modules in the metadata, else as mutate_framed.
[[nodiscard]] std::size_t mutate_model(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed);
/// A checkpoint of a training run: as a model file, with the description of the run, but mostly its tensors.
[[nodiscard]] std::size_t mutate_checkpoint(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed);
/// A checkpoint without its zeros: the list of the tensors that it leaves them out of, else as mutate_framed.
[[nodiscard]] std::size_t mutate_sparse_members(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed);
/// An index with its shards (shard_frame.h): the index as JSON, a shard as mutate_framed, what a shard is, and which.
[[nodiscard]] std::size_t mutate_sharded(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed);
/// A zip: one member is changed, renamed, doubled, dropped or deflated; headers, sizes and checksums are true again.
[[nodiscard]] std::size_t mutate_zip(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed);
/// JSON: numbers become extreme ones, and objects, arrays and texts are dropped, doubled and exchanged.
[[nodiscard]] std::size_t mutate_json(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed);

}  // namespace coppice::fuzz
