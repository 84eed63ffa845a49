/// Model files whose metadata or tensors lie: refused with the file's name and the rule, never a crash.
#include <sys/resource.h>

#include "coppice/engine/io/safetensors.h"
#include "coppice/nn/io/model_file.h"
#include "engine/io/io_support.h"
#include "nn/carrier.h"
#include "nn/every_layer.h"

using namespace coppice;
using namespace coppice::test;

namespace {

const std::string kLinear =
    R"({"format": 1, "model": {"type": "Linear", "args": {"in_features": 2, "out_features": 3}}})";

NamedTensors linear_tensors() { return {{"weight", ones({3, 2})}, {"bias", ones({3})}}; }

/// What loading says to these tensors under this metadata, mapped and not.
std::string load(const std::string& model, NamedTensors tensors = linear_tensors()) {
  const TempDir dir;
  tensors.metadata()["coppice.model"] = model;
  write_safetensors(dir / "bad.safetensors", tensors);
  const std::string said = outcome([&] { return nn::load_model(dir / "bad.safetensors"); });
  CHECK(outcome([&] { return nn::load_model(dir / "bad.safetensors", {.map = false}); }).substr(0, 12) ==
        said.substr(0, 12));
  return said;
}

void check_format_error(const std::string& said, const std::string& fragment) {
  CAPTURE(said);
  CHECK(said.starts_with("FormatError"));
  CHECK(said.find(fragment) != said.npos);
}

/// The most memory that this process ever had; 0 where a sanitizer's own memory would count.
long peak_memory_kb() {
#if defined(__SANITIZE_ADDRESS__)
  return 0;
#else
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
#endif
}

std::string with_model(const std::string& entry) { return R"({"format": 1, "model": )" + entry + "}"; }

}  // namespace

TEST_SUITE("nn/io/hostile_model") {
  TEST_CASE("the good file that the others are bent from") { CHECK(load(kLinear) == "accepted"); }

  TEST_CASE("no model at all") {
    const TempDir dir;
    write_safetensors(dir / "bare.safetensors", linear_tensors());
    check_format_error(outcome([&] { return nn::load_model(dir / "bare.safetensors"); }),
                       "bare.safetensors' holds tensors but no model");
  }

  TEST_CASE("the frame of the metadata") {
    check_format_error(load(""), "bad.safetensors");
    check_format_error(load("7"), "needs \"format\" and \"model\"");
    check_format_error(load("[]"), "needs \"format\" and \"model\"");
    check_format_error(load(R"({"format": 1})"), "needs \"format\" and \"model\"");
    check_format_error(load(R"({"model": {"type": "ReLU"}})"), "needs \"format\" and \"model\"");
    for (const char* version : {"0", "-1", "3", "99999999999", "18446744073709551615"}) {
      CAPTURE(version);
      check_format_error(load(R"({"format": )" + std::string(version) + R"(, "model": {"type": "ReLU"}})"),
                         "format version");
    }
    for (const char* version : {"1.0", "\"1\"", "null", "true", "[1]"}) {
      CAPTURE(version);
      check_format_error(load(R"({"format": )" + std::string(version) + R"(, "model": {"type": "ReLU"}})"),
                         "needs \"format\"");
    }
    check_format_error(load(R"({"format": 1, "format": 1, "model": {"type": "ReLU"}})"), "appears twice");
    check_format_error(load(kLinear.substr(0, kLinear.size() - 1)), "bad.safetensors");
  }

  TEST_CASE("deep and wide JSON costs moments") {
    CHECK(load(with_model(std::string(100000, '[') + std::string(100000, ']'))).starts_with("LimitError"));
    std::string modules = R"({"type":"ReLU"})";
    for (int i = 0; i < 25000; ++i) modules += R"(,{"type":"ReLU"})";
    CHECK(load(with_model(R"({"type": "Sequential", "modules": [)" + modules + "]}"), {}).starts_with("LimitError"));
    std::string keys = R"("k":[])";
    for (int i = 0; i < 25000; ++i) keys += cat(",\"k", i, "\":[]");
    CHECK(load(with_model(R"({"type": "ReLU", "masked": {)" + keys + "}}"), {}).starts_with("LimitError"));
  }

  TEST_CASE("tensors that do not fit the modules are listed") {
    NamedTensors tensors = linear_tensors();
    SUBCASE("missing") {
      tensors.erase("bias");
      check_format_error(load(kLinear, tensors), "missing: 'bias'");
    }
    SUBCASE("unexpected") {
      tensors.add("extra", ones({1}));
      tensors.add("no.such.module", ones({1}));
      const std::string said = load(kLinear, tensors);
      check_format_error(said, "'extra'");
      check_format_error(said, "'no.such.module'");
    }
    SUBCASE("another shape") {
      tensors.set("weight", ones({2, 3}));
      check_format_error(load(kLinear, tensors), "shape of 'weight': given (2, 3), own (3, 2)");
    }
    SUBCASE("an integer where a float belongs") {
      tensors.set("weight", ones({3, 2}, Dtype::i32));
      check_format_error(load(kLinear, tensors), "'weight'");
    }
    SUBCASE("sizes that no memory holds") {
      for (const char* n : {"1099511627776", "4611686018427387904", "9223372036854775807", "-1"}) {
        CAPTURE(n);
        const std::string args = R"({"in_features": )" + std::string(n) + R"(, "out_features": )" + n + "}";
        check_format_error(load(with_model(R"({"type": "Linear", "args": )" + args + "}")), "(Linear)");
        check_format_error(load(with_model(R"({"type": "LSTM", "args": {"input_size": )" + std::string(n) +
                                           R"(, "hidden_size": )" + n + "}}")),
                           "(LSTM)");
      }
    }
    SUBCASE("memory is not filled for a size that the file does not hold") {
      const long before = peak_memory_kb();
      for (const char* entry : {R"({"type": "BatchNorm1d", "args": {"num_features": 500000000}})",
                                R"({"type": "LayerNorm", "args": {"normalized_shape": [500000000]}})",
                                R"({"type": "Linear", "args": {"in_features": 500000000, "out_features": 1}})"})
        check_format_error(load(with_model(entry)), "do not fit");
      CHECK(peak_memory_kb() - before < 300'000);  // one of these tensors takes 2 GB
    }
  }

  TEST_CASE("masks that lie") {
    const auto masked = [](const std::string& text) {
      return R"({"format": 1, "model": {"type": "Linear", "args": {"in_features": 2, "out_features": 3}, "masked": )" +
             text + "}}";
    };
    NamedTensors good{{"bias", ones({3})}, {"weight_orig", ones({3, 2})}, {"weight_mask", ones({1}, Dtype::u8)}};
    REQUIRE(load(masked(R"({"weight": []})"), good) == "accepted");
    check_format_error(load(masked("[]"), good), "\"masked\" must map names to steps");
    check_format_error(load(masked(R"({"wait": []})"), good), "no parameter 'wait'");
    check_format_error(load(masked(R"({"weight_orig": []})"), good), "no parameter 'weight_orig'");
    check_format_error(load(masked(R"({"weight": [], "weight": []})"), good), "appears twice");
    check_format_error(load(masked(R"({"weight": {}})"), good), "must be a list");
    check_format_error(load(masked(R"({"weight": [{"args": {}}]})"), good), "\"type\"");
    check_format_error(load(masked(R"({"weight": [{"type": "L1", "args": {"amount": {}}}]})"), good), "amount");
    check_format_error(load(masked("{}"), good), "unexpected");
    check_format_error(load(masked(R"({"weight": [], "bias": []})"), good), "missing");
    const auto with_mask = [&](const Tensor& mask) {
      NamedTensors tensors = good;
      tensors.set("weight_mask", mask);
      return load(masked(R"({"weight": []})"), tensors);
    };
    check_format_error(with_mask(ones({2}, Dtype::u8)), "needs uint8 (1,)");
    check_format_error(with_mask(full({1}, 64, Dtype::u8)),
                       "bad.safetensors': 'weight_mask': [unpack_bits] a bit beyond the last of 6");
    check_format_error(with_mask(ones({2, 3})), "weight_mask");
    check_format_error(with_mask(ones({1})), "weight_mask");
    CHECK(with_mask(ones({3, 2})) == "accepted");
    const std::string huge =
        R"({"format": 1, "model": {"type": "Linear", "args": {"in_features": 500000000, "out_features": 1},
                                 "masked": {"weight": []}}})";
    check_format_error(load(huge, good), "too small for a mask");
  }

  TEST_CASE("packed layers whose members or arguments lie") {
    const auto entry = [](const std::string& format, const std::string& rows, const std::string& cols,
                          const char* bias) {
      return with_model(R"({"type": "PackedLinear", "args": {"in_features": )" + cols + R"(, "out_features": )" + rows +
                        R"(, "bias": )" + bias + R"(, "format": ")" + format + R"("}})");
    };
    using Ints = std::vector<std::int32_t>;
    using Shorts = std::vector<std::int16_t>;
    const NamedTensors good{{"row_offsets", Tensor::from(Ints{0, 1, 2}, {3})},
                            {"columns", Tensor::from(Shorts{1, 0}, {2})},
                            {"values", Tensor::of({5, 6})}};
    REQUIRE(load(entry("csr", "2", "2", "false"), good) == "accepted");
    const auto with = [&](const std::string& name, const Tensor& t) {
      NamedTensors tensors = good;
      tensors.set(name, t);
      return load(entry("csr", "2", "2", "false"), tensors);
    };
    check_format_error(with("row_offsets", Tensor::from(Ints{0, 1, 3}, {3})), "row_offsets");
    check_format_error(with("row_offsets", Tensor::from(Ints{0, 2, 1}, {3})), "row_offsets");
    check_format_error(with("row_offsets", Tensor::from(Ints{0, -1, 2}, {3})), "row_offsets");
    check_format_error(with("columns", Tensor::from(Shorts{2, 0}, {2})), "columns");
    check_format_error(with("columns", Tensor::from(Shorts{-1, 0}, {2})), "columns");
    check_format_error(with("values", Tensor::of({5, 6, 7})), "values");
    check_format_error(with("extra", Tensor::of({5})), "extra");
    check_format_error(with("bias", Tensor::of({1, 2})), "takes no bias");
    std::string crowded = entry("csr", "2", "2", "false");  // a child has the name of a member
    crowded.insert(crowded.rfind("}}"), R"(, "modules": [{"type": "ReLU", "name": "values"}])");
    check_format_error(load(crowded, good),
                       "bad.safetensors': the top module: [register_buffer] PackedLinear already has 'values'");
    check_format_error(load(entry("csr", "2", "2", "true"), good), "needs a float32 bias");
    check_format_error(load(entry("csr", "2", "2", "false"), {}), "row_offsets");
    check_format_error(load(entry("dense", "2", "2", "false"), good), "format must be");
    check_format_error(load(entry("zip", "2", "2", "false"), good), "'zip'");
    for (const char* n : {"-1", "1099511627776", "9223372036854775807", "4611686018427387904"}) {
      CAPTURE(n);
      check_format_error(load(entry("csr", n, "2", "false"), good), "");
      check_format_error(load(entry("bitmask", n, n, "false"), good), "");
      check_format_error(load(entry("block16", n, n, "false"), good), "");
      check_format_error(load(with_model(R"({"type": "PackedConv2d", "args": {"in_channels": )" + std::string(n) +
                                         R"(, "out_channels": 2, "kernel_size": 1, "bias": false, "format": "csr"}})"),
                              good),
                         "");
    }
  }

  TEST_CASE("a packed layer that was made without values says so when it is used") {
    const nn::PackedLinear m(
        {{"format", std::string("csr")}, {"in_features", std::int64_t{2}}, {"out_features", std::int64_t{2}}});
    CHECK_THROWS_AS((void)m.weight(), StateError);
    CHECK_THROWS_AS((void)m(ones({1, 2})), StateError);
    CHECK_THROWS_AS((void)m.arguments(), StateError);
  }

  TEST_CASE("masks are counted together: a small file asks for no memory by naming many") {
    std::string layers;
    for (int i = 0; i < 40; ++i)
      layers += std::string(i == 0 ? "" : ", ") +
                R"({"type": "Linear", "args": {"in_features": 2048, "out_features": 4096}, "masked": {"weight": []}})";
    const long before = peak_memory_kb();
    check_format_error(load(with_model(R"({"type": "Sequential", "modules": [)" + layers + "]}"),
                            {{"pad", coppice::zeros({1 << 18})}}),
                       "too small for a mask");
    CHECK(peak_memory_kb() - before < 100'000);
  }

  TEST_CASE("a mask that is missing or has another shape says nothing about the values under it") {
    // Its entries are whatever the memory held: bools among them may be neither 0 nor 1, which sanitizers find.
    const auto original = [](const std::string& dtype) {
      return with_model(R"({"type": "ParametrizationList", "masked": {"original": []},
                            "args": {"original_shape": [8], "original_dtype": ")" +
                        dtype + "\"}}");
    };
    for (const Dtype dtype : {Dtype::boolean, Dtype::f32, Dtype::i8}) {
      CAPTURE(to_string(dtype));
      const NamedTensors values{{"original_orig", ones({3}, dtype)}};
      const std::string missing = load(original(to_string(dtype)), values);
      check_format_error(missing, "missing: 'original_mask'");
      check_format_error(missing, "shape of 'original_orig': given (3,), own (8,)");
      NamedTensors other = values;
      other.add("original_mask", ones({2, 2}, dtype));
      const std::string mismatched = load(original(to_string(dtype)), other);
      check_format_error(mismatched, "shape of 'original_mask': given (2, 2), own (8,)");
      check_format_error(mismatched, "shape of 'original_orig': given (3,), own (8,)");
    }
  }

  TEST_CASE("arguments that lie") {
    know_carrier();
    const auto carrier = [](const std::string& args, const NamedTensors& tensors = {}, int format = 2) {
      return load(cat(R"({"format": )", format, R"(, "model": {"type": "test.Carrier", "args": {)", args, "}}}"),
                  tensors);
    };
    const NamedTensors table{{".args.0", Tensor::of({1, 2})}};
    const std::string named = R"("table": {"tensor": ".args.0"})";
    REQUIRE(carrier(named, table) == "accepted");
    REQUIRE(carrier(R"("factors": [1, 0.5])") == "accepted");
    REQUIRE(carrier(R"("function": {"function": "test.carrier.negated"})") == "accepted");
    // Format 1 knows none of them.
    check_format_error(carrier(named, table, 1), "'table' must not be an object in a file of format 1");
    check_format_error(carrier(R"("factors": [1, 0.5])", {}, 1), "'factors' must be a list of integers");
    check_format_error(carrier("", table, 1), "unexpected: '.args.0'");
    // References.
    check_format_error(carrier(named), "the file has no tensor '.args.0' for arguments");
    check_format_error(carrier(R"("table": {"tensor": ".args.1"})", table), "the file has no tensor '.args.1'");
    check_format_error(carrier("", table), "unexpected: '.args.0'");
    check_format_error(carrier(named + R"(, "settings": {"map": {"shift": {"tensor": ".args.0"}}})", table),
                       "argument 'shift': tensor '.args.0' is another argument already");
    check_format_error(load(R"({"format": 2, "model": {"type": "Sequential", "modules": [)"
                            R"({"type": "Linear", "name": "fc", "args": {"in_features": 1, "out_features": 1}},)"
                            R"({"type": "test.Carrier", "args": {"table": {"tensor": "fc.bias"}}}]}})",
                            {{"fc.weight", ones({1, 1})}, {"fc.bias", ones({1})}}),
                       "the file has no tensor 'fc.bias' for arguments");
    check_format_error(carrier(R"("function": {"function": "os.system"})"), "no function 'os.system' is registered");
    check_format_error(carrier(R"("function": {"function": "\u001b[8m"})"), R"(no function '\x1b[8m')");
    if (!is_function("test.carrier.count"))
      register_function<int(const Tensor&)>("test.carrier.count", [](const Tensor&) { return 1; });
    check_format_error(carrier(R"("function": {"function": "test.carrier.count"})"), "other types than are asked for");
    // Kinds.
    for (const char* object : {"{}", R"({"map": {}, "tensor": ".args.0"})", R"({"code": "x"})", R"({"": {}})"})
      check_format_error(carrier(cat(R"("settings": )", object), table), "'settings' must not be an object, but for");
    check_format_error(carrier(R"("settings": {"map": []})"), "\"map\" must be an object");
    check_format_error(carrier(R"("settings": {"map": null})"), "\"map\" must be an object");
    check_format_error(carrier(R"("table": {"tensor": 0})", table), "\"tensor\" must be a name");
    check_format_error(carrier(R"("function": {"function": {"function": "a.b"}})"), "\"function\" must be a name");
    check_format_error(carrier(R"("factors": [1, "2"])"), "must be a list of integers or a list of numbers");
    check_format_error(carrier(R"("factors": [[1], [2]])"), "must be a list of integers or a list of numbers");
    check_format_error(carrier(R"("factors": [0.5, 9223372036854775808])"), "does not fit 63 bits");
    check_format_error(carrier(R"("factors": [1e999])"), "[json]");
    check_format_error(carrier(R"("factors": {"map": {}})"),
                       "'factors' must be a number or a list of numbers; got a map");
    check_format_error(carrier(R"("table": {"map": {}})"), "'table' must be a tensor; got a map");
    check_format_error(carrier(R"("settings": {"map": {"shift": true}}, "extra": {"map": {}})"),
                       "unknown arguments: 'extra'");
    check_format_error(
        load(R"({"format": 2, "model": {"type": "Softmax", "args": {"dim": {"tensor": ".args.0"}}}})", table),
        "'dim' must be an integer; got a tensor");
    // Sizes.
    const auto deep = [&](int maps) {
      std::string out = "true";
      for (int i = 0; i < maps; ++i) out = R"({"map": {"m": )" + out + "}}";
      return carrier(R"("settings": )" + out);
    };
    CHECK(deep(16) == "accepted");
    const std::string said = deep(17);
    CHECK(said.starts_with("LimitError: "));
    CHECK(said.find("maps must be nested at most 16 deep") != said.npos);
    std::string numbers = "0.5";
    for (int i = 1; i < 1001; ++i) numbers += ", 0.5";
    CHECK(carrier(R"("factors": [)" + numbers + "]").starts_with("LimitError: "));
  }

  TEST_CASE("a tensor has at most eight masks, one upon the other") {
    const auto stacked = [](int masks) {
      std::string name = "weight", list;
      NamedTensors tensors;
      for (int i = 0; i < masks; ++i) {
        list += cat(i == 0 ? "\"" : ", \"", name, "\": []");
        tensors.add(name + "_mask", ones({1}, Dtype::u8));
        name += "_orig";
      }
      tensors.add(name, ones({1, 1}));
      return load(with_model(R"({"type": "Sequential", "modules": [{"type": "Linear", "name": "fc", "masked": {)" +
                             list + R"(}, "args": {"in_features": 1, "out_features": 1, "bias": false}}]})"),
                  [&] {
                    NamedTensors below;
                    for (const auto& [key, tensor] : tensors) below.add("fc." + key, tensor);
                    return below;
                  }());
    };
    CHECK(stacked(8) == "accepted");
    for (const int masks : {9, 200}) {  // every one of them is computed through those below it
      const std::string said = stacked(masks);
      CAPTURE(said);
      CHECK(said.starts_with("LimitError: [load_model] '"));
      CHECK(said.find("bad.safetensors': 'fc.weight_orig_orig_orig") != said.npos);
      CHECK(said.find("at most 8 masks") != said.npos);
      CHECK(said.size() < 500);
    }
  }
}
