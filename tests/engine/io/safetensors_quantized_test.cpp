// Quantised tensors in safetensors: written in parts, joined again, and refused where the parts are not sound.
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>

#include "coppice/engine.h"
#include "engine/io/io_support.h"

namespace {

using namespace coppice;
using namespace coppice::test;

NamedTensors four_kinds() {
  const Tensor x = Tensor::of({{0.1, -0.2, 0.3, 0.4}, {1, 2, -3, 4}});
  const Tensor scales = Tensor::of({0.1, 0.5}), zeros = Tensor::of({0, 3}).to(Dtype::i64);
  return {{"whole", quantize_per_tensor(x, 0.1, 5, Dtype::quint8)},
          {"channels", quantize_per_channel(x, scales, zeros, 0, Dtype::qint8)},
          {"floats", quantize_per_channel(x, scales, Tensor::of({0.5, 7.25}), 0, Dtype::quint8)},
          {"four", quantize_per_channel(x, scales, Tensor::of({0.5, 7.25}), 0, Dtype::quint4x2)},
          {"wide", quantize_per_tensor(x, 0.001, -5, Dtype::qint32)},
          {"plain", x}};
}

TEST_SUITE("engine/io/safetensors_quantized") {
  TEST_CASE("every kind comes back as it was, order and metadata too") {
    const TempDir dir;
    const auto path = dir / "q.safetensors";
    NamedTensors tensors = four_kinds();
    tensors.metadata()["note"] = "mine";
    for (const bool checksums : {false, true}) {
      write_safetensors(path, tensors, {.checksums = checksums});
      const NamedTensors back = read_safetensors(path);
      CHECK(back.names() == tensors.names());
      for (const auto& [name, tensor] : tensors) CHECK(back.at(name) == tensor);
      CHECK(back.metadata() == tensors.metadata());
      CHECK(std::filesystem::file_size(path) == safetensors_bytes(tensors, {.checksums = checksums}));
    }
    const SafetensorsHeader header = read_safetensors_header(path);
    CHECK(header.metadata.at("coppice.quantized:channels") == "qint8 per_channel_affine 0");
    CHECK(header.metadata.at("coppice.quantized:four") == "quint4x2 per_channel_affine_float_qparams 0");
  }

  TEST_CASE("integers are read in place, and tied ones stay tied") {
    const TempDir dir;
    const auto path = dir / "q.safetensors";
    const Tensor q = four_kinds().at("whole");
    write_safetensors(path, NamedTensors{{"a", q}, {"b", q}}, {.tied = true});
    const NamedTensors back = read_safetensors(path);
    CHECK(back.at("a") == q);
    CHECK(back.at("b") == q);
    CHECK(back.at("a").bytes() == back.at("b").bytes());
  }

  TEST_CASE("a name that a part needs is refused, and so is a plan") {
    const TempDir dir;
    NamedTensors tensors = four_kinds();
    tensors.add("whole.q_scale", Tensor::of({1}));
    CHECK_THROWS_AS(write_safetensors(dir / "q.safetensors", tensors), KeyError);
    CHECK_THROWS_AS(
        write_safetensors(dir / "q.safetensors",
                          std::vector<PlannedTensor>{{"q", Dtype::qint8, Shape{1}, [] { return Tensor(); }}}, {}),
        ValueError);
  }

  TEST_CASE("parts that are not sound are a FormatError that names the tensor") {
    const TempDir dir;
    const auto path = dir / "q.safetensors";
    const auto refused = [&](const NamedTensors& parts, const std::string& note, const char* rule) {
      NamedTensors file = parts;
      file.metadata()["coppice.quantized:w"] = note;
      write_safetensors(path, file);
      CAPTURE(note);
      try {
        (void)read_safetensors(path);
        FAIL_CHECK("read a quantised tensor that is none");
      } catch (const FormatError& e) {
        const std::string text = e.what();
        CAPTURE(text);
        CHECK(text.find(rule) != std::string::npos);
      }
    };
    const Tensor w = Tensor::of({{1, 2}, {3, 4}}).to(Dtype::i8), bytes = w.to(Dtype::u8);
    const Tensor one = Tensor::of({0.5}).to(Dtype::f64), zero = Tensor::of({0}).to(Dtype::i64);
    const Tensor two = Tensor::of({0.5, 1}).to(Dtype::f64), zeros2 = Tensor::of({0, 0}).to(Dtype::i64);
    const auto parts = [](const Tensor& q, const Tensor& s, const Tensor& z) {
      return NamedTensors{{"w", q}, {"w.q_scale", s}, {"w.q_zero_point", z}};
    };
    const char* kTensor = "qint8 per_tensor_affine";
    const char* kChannel = "qint8 per_channel_affine 0";
    for (const double bad : {0.0, -1.0, std::nan(""), HUGE_VAL})
      refused(parts(w, Tensor::of({bad}).to(Dtype::f64), zero), kTensor, "a scale must be finite and above 0");
    refused(parts(w, one, Tensor::of({200}).to(Dtype::i64)), kTensor, "zero point 200 is outside");
    refused(parts(w, Tensor::of({0.5}), zero), kTensor, "needs scales float64");
    refused(parts(w, one, Tensor::of({0})), kTensor, "zero points int64");
    refused(parts(w, two, zeros2), kTensor, "needs scales float64");
    refused(parts(bytes, one, zero), kTensor, "is stored as uint8");
    refused(parts(w, one, zero), kChannel, "1 scales for axis 0");
    refused(parts(w, two, zeros2), "qint8 per_channel_affine 2", "there is no axis 2");
    refused(parts(w, two, zeros2), "qint8 per_channel_affine -1", "which is no quantised type");
    refused(parts(w, two, zeros2), "qint8 per_channel_affine", "which is no quantised type");
    refused(parts(w, one, zero), "qint8 per_tensor_affine 0", "which is no quantised type");
    refused(parts(w, one, zero), "float32 per_tensor_affine", "which is no quantised type");
    refused(parts(w, one, zero), "qint8 per_tensor_symmetric", "which is no quantised type");
    refused(parts(w, one, zero), "qint8 per_tensor_affine x y", "which is no quantised type");
    refused(parts(bytes, two, Tensor::of({0.5, std::nan("")})), "quint8 per_channel_affine_float_qparams 0",
            "a zero point must be finite");
    refused(parts(Tensor::of(1).to(Dtype::u8), Tensor::of({0.5}).to(Dtype::f64), Tensor::of({0.5})),
            "quint4x2 per_channel_affine_float_qparams 0", "has no axis");
    refused(NamedTensors{{"w", w}, {"w.q_scale", one}}, kTensor, "no member 'w.q_zero_point'");
    refused(NamedTensors{{"w.q_scale", one}, {"w.q_zero_point", zero}}, kTensor, "no member 'w'");
  }
}

}  // namespace
