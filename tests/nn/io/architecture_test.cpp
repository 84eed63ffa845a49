#include "coppice/nn/io/architecture.h"

#include "coppice/engine/create.h"
#include "engine/io/io_support.h"

using namespace coppice;
using namespace coppice::test;
using nn::parse_architecture;

namespace {

std::string refused(const std::string& text) {
  const std::string said = outcome([&] { return parse_architecture(text, "net.json"); });
  CHECK(said.find("net.json") != said.npos);
  return said;
}

}  // namespace

TEST_SUITE("nn/io/architecture") {
  TEST_CASE("children are called by position or by name, at any depth") {
    const auto net = parse_architecture(R"({"type": "Sequential", "modules": [
      {"type": "Linear", "name": "fc", "args": {"in_features": 4, "out_features": 3, "bias": false}},
      {"type": "Sequential", "modules": [{"type": "ReLU", "args": {"inplace": true}}, {"type": "Flatten"}]}]})");
    CHECK(net->find_module("fc")->type_name() == "Linear");
    CHECK(net->find_module("1.1")->type_name() == "Flatten");
    CHECK((*net)(ones({2, 4})).shape() == Shape{2, 3});
    CHECK(parse_architecture(R"({"type": "Identity", "args": {}})")->type_name() == "Identity");
    CHECK(parse_architecture(R"({"type": "BatchNorm1d", "args": {"num_features": 2, "momentum": null}})") != nullptr);
  }

  TEST_CASE("errors name file, entry and rule") {
    const auto check = [](const std::string& text, const std::string& where, const std::string& what) {
      CAPTURE(text);
      const std::string said = refused(text);
      CAPTURE(said);
      CHECK(said.starts_with("FormatError"));
      CHECK(said.find(where) != said.npos);
      CHECK(said.find(what) != said.npos);
    };
    const auto second = [&](const std::string& entry, const std::string& where, const std::string& what) {
      check(R"({"type": "Sequential", "modules": [{"type": "ReLU"}, )" + entry + "]}", where, what);
    };
    check("[]", "entry at the top", "must be an object");
    check("{}", "entry at the top", "needs a \"type\"");
    check(R"({"type": 7})", "entry at the top", "needs a \"type\"");
    check(R"({"type": "ReLU", "modul": []})", "entry at the top (ReLU)", "unknown key \"modul\"");
    check(R"({"type": "ReLU", "masked": {}})", "entry at the top (ReLU)", "unknown key \"masked\"");
    check(R"({"type": "Sequential", "modules": {}})", "(Sequential)", "\"modules\" must be a list");
    second(R"({"type": "Lineal"})", "modules[1] (Lineal)", "unknown type 'Lineal'");
    second(R"({"type": "Linear", "args": []})", "modules[1] (Linear)", "\"args\" must be an object");
    second(R"({"type": "Linear", "args": {"in_features": 1}})", "modules[1] (Linear)", "'out_features' is missing");
    second(R"({"type": "Softmax", "args": {"axis": 1}})", "modules[1] (Softmax)", "'axis'");
    second(R"({"type": "Softmax", "args": {"dim": {}}})", "modules[1] (Softmax)", "must not be an object");
    second(R"({"type": "Flatten", "args": {"start_dim": [1, "2"]}})", "modules[1] (Flatten)", "list of integers");
    second(R"({"type": "Softmax", "args": {"dim": 18446744073709551615}})", "modules[1] (Softmax)", "63 bits");
    second(R"({"type": "ReLU", "name": "a.b"})", "(Sequential)", "'a.b'");
    second(R"({"type": "ReLU", "name": ""})", "(Sequential)", "empty");
    second(R"({"type": "ReLU", "name": "0"})", "(Sequential)", "'0'");
    second(R"({"type": "ReLU", "name": 3})", "(Sequential)", "\"name\"");
    second(R"({"type": "Linear", "args": {"in_features": 1, "out_features": 1}, "modules": [{"type": "ReLU"}]})",
           "modules[1] (Linear)", "takes no modules");
    second(R"({"type": "Sequential", "modules": [{"type": "Dropout", "args": {"p": 2}}]})",
           "modules[1].modules[0] (Dropout)", "p");
  }

  TEST_CASE("a mistyped word is named with the nearest right one") {
    const auto check = [](const std::string& type, const std::string& arguments, const std::string& named) {
      CAPTURE(arguments);
      const std::string said = refused("{\"type\": \"" + type + "\", \"args\": {" + arguments + "}}");
      CAPTURE(said);
      CHECK(said.starts_with("FormatError"));
      CHECK(said.find(named) != said.npos);
    };
    check("Linear", R"("in_feature": 3, "out_features": 2)",
          "'in_features' is missing; there is 'in_feature', 'out_features'; is 'in_feature' meant to be it?");
    check("Linear", R"("in_features": 3, "out_feature": 2)", "is 'out_feature' meant to be it?");
    check("Linear", R"("in_features": 3, "out_features": 2, "bais": false)",
          "unknown arguments: 'bais'; the nearest known ones: 'bias'");
    check("Conv2d", R"("in_channels": 1, "out_channels": 2, "kernel": 3)", "is 'kernel' meant to be it?");
    check("Conv2d", R"("in_channels": 1, "out_channels": 2, "kernel_size": 3, "strides": 2, "pading": 1)",
          "unknown arguments: 'strides', 'pading'; the nearest known ones: 'stride', 'padding'");
    check("LSTM", R"("input_size": 1, "hidden_size": 2, "layers": 3)", "'num_layers'");
    check("Linaer", "", "; the nearest is 'Linear'");
    CHECK(refused(R"({"type": "Sequential", "module": []})").find("the nearest is \"modules\"") != std::string::npos);
    // One that is missing is not taken for another one that is there.
    CHECK(refused(R"({"type": "Linear", "args": {"out_features": 2}})").find("meant") == std::string::npos);
  }

  TEST_CASE("JSON that is none, or has a key twice, or is too deep") {
    CHECK(refused("").starts_with("FormatError"));
    CHECK(refused("{\"type\": \"ReLU\"} x").starts_with("FormatError"));
    CHECK(refused("{'type': 'ReLU'}").starts_with("FormatError"));
    CHECK(refused("{\"type\": \"ReLU\xff\"}").starts_with("FormatError"));
    CHECK(refused(R"({"type": "ReLU", "type": "Tanh"})").find("'type' appears twice") != std::string::npos);
    CHECK(refused(std::string(100, '[') + std::string(100, ']')).starts_with("LimitError"));
    std::string nested = R"({"type": "ReLU"})";
    for (int i = 0; i < 40; ++i) nested = R"({"type": "Sequential", "modules": [)" + nested + "]}";
    CHECK(refused(nested).starts_with("LimitError"));
  }

  TEST_CASE("sizes that no memory holds, and endless lists, are refused quickly") {
    const auto layer = [](const std::string& type, const std::string& args) {
      return refused(R"({"type": ")" + type + R"(", "args": {)" + args + "}}");
    };
    const std::string huge = "4611686018427387904", big = "1099511627776";
    for (const std::string& n : {huge, big}) {
      CAPTURE(n);
      CHECK(layer("Linear", R"("in_features": )" + n + R"(, "out_features": )" + n).starts_with("FormatError"));
      CHECK(layer("Conv2d", R"("in_channels": )" + n + R"(, "out_channels": )" + n + R"(, "kernel_size": 3)")
                .starts_with("FormatError"));
      CHECK(layer("Embedding", R"("num_embeddings": )" + n + R"(, "embedding_dim": )" + n).starts_with("FormatError"));
      CHECK(layer("LSTM", R"("input_size": )" + n + R"(, "hidden_size": )" + n).starts_with("FormatError"));
      CHECK(layer("LSTM", R"("input_size": 1, "hidden_size": 1, "num_layers": )" + n).starts_with("FormatError"));
      CHECK(layer("BatchNorm1d", R"("num_features": )" + huge).starts_with("LimitError"));
      CHECK(layer("LayerNorm", R"("normalized_shape": [)" + n + ", " + n + "]").starts_with("FormatError"));
    }
    CHECK(layer("Linear", R"("in_features": 64000000, "out_features": 3000000000)").starts_with("LimitError"));
    CHECK(layer("Embedding", R"("num_embeddings": -9223372036854775808, "embedding_dim": 1, "padding_idx": 0)")
              .starts_with("FormatError"));
    std::string modules = R"({"type": "ReLU"})", keys = "\"k\": 1";
    for (int i = 0; i < 25000; ++i) modules += R"(,{"type":"ReLU"})", keys += cat(",\"k", i, "\":1");
    CHECK(refused(R"({"type": "Sequential", "modules": [)" + modules + "]}").starts_with("LimitError"));
    CHECK(refused(R"({"type": "ReLU", "args": {)" + keys + "}}").starts_with("LimitError"));
  }

  TEST_CASE("a file is read, and one that is missing or too long refused") {
    const TempDir dir;
    spill(dir / "net.json", R"({"type": "ReLU"})");
    CHECK(nn::read_architecture(dir / "net.json")->type_name() == "ReLU");
    CHECK(outcome([&] { return nn::read_architecture(dir / "no.json"); }).starts_with("IoError"));
    spill(dir / "long.json", std::string((1 << 24) + 1, ' '));
    CHECK(outcome([&] { return nn::read_architecture(dir / "long.json"); }).starts_with("LimitError"));
  }
}
