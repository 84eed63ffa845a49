/// What a description of modules may cost: names, tensors, messages. A few bytes of it must not fill the machine.
#include <doctest/doctest.h>

#include "coppice/nn/init.h"
#include "coppice/nn/io/architecture.h"
#include "engine/io/io_support.h"

using namespace coppice;
using namespace coppice::test;

namespace {

std::string said(const std::string& text, const Limits& limits = {}) {
  const nn::SkipInit no_random_numbers;
  return outcome([&] { return nn::parse_architecture(text, "net.json", limits); });
}

std::string sequential(const std::string& name, const std::string& modules) {
  return R"({"type":"Sequential","name":")" + name + R"(","modules":[)" + modules + "]}";
}

std::string times(int count, const std::string& entry) {
  std::string out = entry;
  for (int i = 1; i < count; ++i) out += "," + entry;
  return out;
}

bool holds(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }

}  // namespace

TEST_SUITE("nn/description_limits") {
  TEST_CASE("a name and a path have at most 4096 bytes") {
    const std::string relu = R"({"type":"ReLU"})", long_name(4097, 'n'), half(2047, 'n');
    CHECK(said(sequential("top", sequential(std::string(4094, 'n'), relu))) == "accepted");
    CHECK(said(sequential("", sequential(half, sequential(half, relu)))).starts_with("LimitError"));  // 4097 with ".0"
    CHECK(said(sequential("", sequential(half, sequential(half.substr(2), relu)))) == "accepted");
    const std::string refusal = said(sequential("", sequential(long_name, relu)));
    CHECK(holds(refusal, "LimitError"));
    CHECK(holds(refusal, "the name of modules[0] and its path must be at most 4096 bytes; got 4097 and 4097 for 'nnn"));
    CHECK(refusal.size() < 500);
    // Before anything below it is built: the paths of these would take 8 GB.
    CHECK(said(sequential("", sequential(std::string(4'000'000, 'n'), times(2000, relu)))).starts_with("LimitError"));
  }

  TEST_CASE("a tree has at most 100,000 parameters and buffers") {
    const std::string lstm = R"({"type":"LSTM","args":{"input_size":1,"hidden_size":2,"num_layers":1000,)"
                             R"("bidirectional":true,"proj_size":1}})";  // 10,000
    CHECK(said(sequential("", times(10, lstm))) == "accepted");
    const std::string refusal = said(sequential("", times(100, lstm)));
    CHECK(holds(refusal, "LimitError"));
    CHECK(holds(refusal, "modules[10] (LSTM): a tree with more than 100000 parameters and buffers"));
    std::string list = R"({"type":"ParametrizationList","args":{"originals":900)";
    for (int i = 0; i < 900; ++i) list += cat(",\"original", i, "_shape\":[]");
    CHECK(said(sequential("", times(120, list + "}}"))).starts_with("LimitError"));
  }

  TEST_CASE("messages repeat the beginning of a long text") {
    const std::string text(1'000'000, 'x');
    std::string keys;
    for (int i = 0; i < 900; ++i) keys += cat(i == 0 ? "\"" : ",\"", std::string(500, 'k'), i, "\":1");
    for (const std::string& hostile :
         {R"({"type":")" + text + "\"}",                                // a type
          "{\"type\":\"ReLU\",\"" + text + "\":1}",                     // a key
          R"({"type":"ReLU","args":{")" + text + "\":1}}",              // an argument
          R"({"type":"ReLU","args":{")" + text + "\":{}}}",             // its value
          R"({"type":"ReLU","args":{)" + keys + "}}",                   // many of them
          R"({"type":"GELU","args":{"approximate":")" + text + "\"}}",  // a text
          R"({"type":"MSELoss","args":{"reduction":")" + text + "\"}}",
          R"({"type":"FakeSparsity","args":{"shape":[1],"dtype":")" + text + "\"}}",
          R"({"type":"PackedLinear","args":{"in_features":1,"out_features":1,"format":")" + text + "\"}}",
          R"({"type":"EmbeddingBag","args":{"num_embeddings":1,"embedding_dim":1,"mode":")" + text + "\"}}",
          R"({"type":"Conv1d","args":{"in_channels":1,"out_channels":1,"kernel_size":1,"padding_mode":")" + text +
              "\"}}",
          sequential("", sequential(std::string(4000, '.'), "")),  // a name
          sequential("", times(2, sequential(std::string(4000, 'n'), ""))),
          "{\"type\":\"ReLU\",\"k\":0,\"" + text + "\":1,\"" + text + "\":1}",  // a key twice
          "{\"type\":\"" + text, std::string(1'000'000, '7') + "x", text}) {    // no JSON
      CAPTURE(hostile.substr(0, 60));
      const std::string refusal = said(hostile);
      CHECK((refusal.starts_with("FormatError") || refusal.starts_with("LimitError")));
      // An unknown type lists the known ones.
      CHECK(refusal.size() < (holds(refusal, "unknown arguments") ? 4000u : holds(refusal, "known:") ? 2400u : 1200u));
    }
  }

  TEST_CASE("values are counted against Limits::objects, those in lists and those that are lists") {
    const std::string six = sequential("", R"({"type":"ReLU"})");  // two objects, a list, three texts
    CHECK(said(six, {.objects = 6}) == "accepted");
    const std::string refusal = said(six, {.objects = 5});
    CHECK(refusal.starts_with("LimitError: [json] 'net.json': values must be at most 5; got 6"));
    CHECK(holds(refusal, "(raise Limits::objects)"));
    for (const char* item : {"[]", "{}", "1", "null", "true", "\"\"", "1.5", "-1", R"({"":[]})"}) {
      CAPTURE(item);
      CHECK(said("[" + times(1000, item) + "]", {.objects = 1000}).starts_with("LimitError"));
      CHECK(said("[" + times(999, item) + "]", {.objects = 3000}).starts_with("FormatError"));
    }
  }

  TEST_CASE("a list has at most 1000 numbers, and a tensor at most Limits::rank axes") {
    const auto norm = [](int axes, bool affine) {
      return R"({"type":"LayerNorm","args":{"elementwise_affine":)" + std::string(affine ? "true" : "false") +
             R"(,"normalized_shape":[)" + times(axes, "1") + "]}}";
    };
    CHECK(said(norm(16, true)) == "accepted");
    CHECK(said(norm(17, true), {.rank = 17}) == "accepted");
    CHECK(holds(said(norm(17, true)),
                "LimitError: [architecture] 'net.json': entry at the top (LayerNorm): axes of 'weight' must be at most "
                "16; got 17 (raise Limits::rank)"));
    CHECK(said(norm(1000, false)) == "accepted");
    for (const int axes : {1001, 1'000'000}) {
      const std::string refusal = said(norm(axes, false), {.rank = 1u << 30});
      CHECK(refusal.starts_with("LimitError"));
      CHECK(holds(refusal, cat("argument 'normalized_shape' must have at most 1000 items; got ", axes)));
      CHECK(refusal.size() < 300);
    }
    CHECK(holds(said(R"({"type":"FakeSparsity","args":{"shape":[)" + times(17, "1") + "]}}"), "axes of 'mask'"));
  }
}
