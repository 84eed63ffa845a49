/// `coppice import` of what training programs save: names that fit after a rule, and the command that is printed then.

#include <cstdlib>

#include "coppice/engine/io/load.h"
#include "coppice/engine/random.h"
#include "coppice/nn/io/architecture.h"
#include "coppice/nn/io/model_file.h"
#include "coppice/nn/state_dict.h"
#include "program.h"

using namespace coppice;
using namespace coppice::test;

namespace {

const std::filesystem::path kCheckpoints = kData / "checkpoints";
const std::string kNet = R"({"type": "Sequential", "modules": [
    {"type": "Linear", "args": {"in_features": 4, "out_features": 3}}, {"type": "ReLU"},
    {"type": "Linear", "args": {"in_features": 3, "out_features": 2}}]})";

struct Folder {
  TempDir dir;
  std::string arch = (dir / "net.json").string(), model = (dir / "m.safetensors").string();
  explicit Folder(const std::string& text = kNet) { spill(arch, text); }
  [[nodiscard]] Words words(const std::string& weights, const Words& more = {}) const {
    Words out{"import", (kCheckpoints / weights).string(), "--arch", arch, "-o", model, "--force"};
    out.insert(out.end(), more.begin(), more.end());
    return out;
  }
};

/// The tensors of "net.pt" are in the model, bit for bit.
void check_net(const std::string& model) {
  const NamedTensors wanted = load_tensors(kCheckpoints / "net.pt"), own = nn::state_dict(*nn::load_model(model));
  REQUIRE(own.names() == wanted.names());
  for (const auto& [name, tensor] : wanted) CHECK(own.at(name) == tensor);
}

/// Runs a line of a message as a shell does, with the program that is tested.
int by_shell(const std::string& line) {
  REQUIRE(line.starts_with("coppice "));
  return std::system(("\"$COPPICE_PROGRAM\" " + line.substr(8) + " >/dev/null 2>&1").c_str());
}

/// The first command of a message.
std::string command_in(const std::string& message) {
  const std::size_t at = message.find("\n  coppice import ");
  REQUIRE(at != message.npos);
  return message.substr(at + 3, message.find('\n', at + 1) - at - 3);
}

}  // namespace

TEST_SUITE("sparsity/cli/import_names") {
  TEST_CASE("names that fit behind a prefix or below a key: the message has the command, and that works") {
    struct Case {
      const char *weights, *options;
    };
    for (const auto& [weights, options] : {Case{"data_parallel.pth", " --strip module."},
                                           {"compiled.pt", " --strip _orig_mod."},
                                           {"nested.pth.tar", " --key state_dict"},
                                           {"beside.pt", " --key model"},
                                           {"mixed.pt", " --ignore 'optimizer.*'"},
                                           {"lightning.ckpt", " --prefix state_dict.model."}}) {
      CAPTURE(weights);
      const Folder in;
      const Said said = run(in.words(weights));
      CAPTURE(said.err);
      CHECK(said.code == 3);
      CHECK(holds(said.err, "fit with:"));
      CHECK_FALSE(std::filesystem::exists(in.model));
      const std::string command = command_in(said.err);
      CHECK(command.ends_with(std::string(" --force") + options));
      CHECK(by_shell(command) == 0);
      check_net(in.model);
    }
  }

  TEST_CASE("the command is quoted for a shell, and keeps the other options") {
    const TempDir dir;
    const std::string weights = (dir / "it's $HOME\n.pth").string(), out = (dir / "a b.safetensors").string();
    std::filesystem::copy_file(kCheckpoints / "data_parallel.pth", weights);
    spill(dir / "net.json", kNet);
    const Said said = run({"import", weights, "--arch", (dir / "net.json").string(), "-o", out, "--dtype", "f64",
                           "--threads", "2", "--limit-tensors", "100", "--key", "state_dict"});
    CAPTURE(said.err);
    REQUIRE(said.code == 3);
    const std::string command = command_in(said.err);
    for (const char* part : {" --dtype float64", " --threads 2", " --limit-tensors 100", "a b.safetensors'"})
      CHECK(holds(command, part));
    CHECK_FALSE(holds(command, "--key"));
    spill(dir / "run.sh", "\"$COPPICE_PROGRAM\" " + command.substr(8));
    CHECK(std::system(("bash " + (dir / "run.sh").string() + " >/dev/null 2>&1").c_str()) == 0);
    CHECK(nn::load_model(out)->find_module("0")->tensor("weight").dtype() == Dtype::f64);
  }

  TEST_CASE("rules that meet nothing, and those that are missing, find the way too") {
    const Folder in;
    const Said said = run(in.words("nested.pth.tar", {"--key", "model"}));
    CHECK(said.code == 3);
    CHECK(holds(said.err, "no tensor stands below the key 'model'; the names begin with 'state_dict.'"));
    CHECK(command_in(said.err).ends_with(" --key state_dict"));
    CHECK(run(in.words("net.pt", {"--ignore", "fc.*"})).code == 3);
    CHECK(run(in.words("net.pt", {"--strip", "module."})).code == 3);
    CHECK(run(in.words("nested.pth.tar", {"--strip"})).code == 2);
  }

  TEST_CASE("what is left out is named, in the document too") {
    const Folder in;
    const Words words = in.words("beside.pt", {"--key", "model"});
    const Said said = run(words);
    CHECK(said.code == 0);
    CHECK(holds(said.err, "left out: epoch\n"));
    CHECK(holds(said.err, "left out: optimizer.state.0.exp_avg\n"));
    const Json document = json_of(words);
    const auto left = document["left_out"].get<Words>();
    CHECK(std::ranges::find(left, "optimizer.state.3.exp_avg_sq") != left.end());
    CHECK(document["tensors"] == 4);
    CHECK(document["drawn"].empty());
  }

  TEST_CASE("--init draws what the checkpoint lacks as PyTorch does, and nothing else; --no-strict takes both") {
    const Folder in;
    CHECK(run(in.words("net.pt", {"--ignore", "2.*"})).code == 3);
    const Said said = run(in.words("net.pt", {"--ignore", "2.*", "--init", "7"}));
    CAPTURE(said.err);
    CHECK(said.code == 0);
    CHECK(holds(said.err, "not in the checkpoint, and as in a fresh layer: 2.weight, 2.bias"));
    manual_seed(7);
    const nn::ModulePtr fresh = nn::parse_architecture(kNet);
    const nn::ModulePtr model = nn::load_model(in.model);
    CHECK(model->find_module("2")->tensor("weight") == fresh->find_module("2")->tensor("weight"));
    CHECK(model->find_module("0")->tensor("weight") == load_tensors(kCheckpoints / "net.pt").at("0.weight"));
    CHECK(run(in.words("mixed.pt", {"--init", "7"})).code == 3);  // what is unexpected still is
    CHECK(json_of(in.words("mixed.pt", {"--no-strict"}))["left_out"].size() > 12);
    check_net(in.model);
    CHECK(json_of(in.words("net.pt", {"--no-strict", "--ignore", "0.bias"}))["drawn"] == Json{"0.bias"});
    manual_seed(0);
    CHECK(nn::load_model(in.model)->find_module("0")->tensor("bias") ==
          nn::parse_architecture(kNet)->find_module("0")->tensor("bias"));
    CHECK(run(in.words("net.pt", {"--init", "-1"})).code == 2);
  }

  TEST_CASE("shapes that differ are errors, strict or not") {
    std::string wide = kNet;
    wide.replace(wide.find("\"out_features\": 2"), 17, "\"out_features\": 5");
    const Folder in(wide);
    const Said said = run(in.words("net.pt", {"--no-strict"}));
    CHECK(said.code == 3);
    CHECK(holds(said.err, "'2.weight': given (2, 3), own (5, 3)"));
    CHECK(run(in.words("net.pt", {"--ignore", "2.*", "--init", "0"})).code == 0);
  }

  TEST_CASE("a checkpoint of doubles becomes float32 with a note, or stays as --dtype says") {
    const Folder in;
    const Said said = run(in.words("double.pt"));
    CHECK(said.code == 0);
    CHECK(holds(said.err, "note: converted to float32"));
    CHECK(nn::load_model(in.model)->find_module("0")->tensor("weight").dtype() == Dtype::f32);
    const Said kept = run(in.words("double.pt", {"--dtype", "float64"}));
    CHECK(kept.code == 0);
    CHECK_FALSE(holds(kept.err, "note"));
    CHECK(nn::load_model(in.model)->find_module("0")->tensor("weight") ==
          load_tensors(kCheckpoints / "double.pt").at("0.weight"));
    CHECK(run(in.words("pruned_first.pt", {"--dtype", "bf16"})).code == 0);
    const nn::ModulePtr half = nn::load_model(in.model);
    CHECK(half->find_module("0")->tensor("weight").dtype() == Dtype::bf16);
    CHECK(half->find_module("2")->tensor("bias") ==
          load_tensors(kCheckpoints / "pruned_first.pt").at("2.bias").to(Dtype::bf16));
    CHECK(run(in.words("double.pt", {"--dtype", "int8"})).code == 2);
  }

  TEST_CASE("names of compiled layers fit without what the compiler put between them") {
    const Folder in;
    NamedTensors given;
    for (const auto& [name, tensor] : load_tensors(kCheckpoints / "net.pt"))
      given.add(name[0] == '0' ? "0._orig_mod." + name.substr(2) : name, tensor);
    const std::string weights = (in.dir / "w.safetensors").string();
    save_tensors(weights, given);
    const Words words{"import", weights, "--arch", in.arch, "-o", in.model};
    const Said said = run(words);
    CHECK(said.code == 3);
    const std::string command = command_in(said.err);
    CHECK(command.ends_with(" --cut _orig_mod."));
    CHECK(by_shell(command) == 0);
    check_net(in.model);
    Words wrong = words;
    wrong.insert(wrong.end(), {"--force", "--cut", "module."});
    const Said refused = run(wrong);
    CHECK(refused.code == 3);
    CHECK(holds(refused.err, "no part of a name begins with 'module.'"));
  }

  TEST_CASE("numbers that the type of the model cannot hold are counted") {
    const Folder in;
    NamedTensors given;
    for (const auto& [name, tensor] : load_tensors(kCheckpoints / "net.pt")) given.add(name, tensor.clone());
    Tensor(given.at("2.weight")).set_({0, 0}, 70000.0);
    Tensor(given.at("2.weight")).set_({1, 2}, -1e30);
    const std::string weights = (in.dir / "w.safetensors").string();
    save_tensors(weights, given);
    const Words words{"import", weights, "--arch", in.arch, "-o", in.model, "--force", "--dtype"};
    const auto as = [&](const char* type) {
      Words all = words;
      all.emplace_back(type);
      return run(all);
    };
    const Said half = as("float16");
    CHECK(half.code == 0);
    CHECK(holds(half.err, "note: 2 numbers of 2.weight are too large for float16 and became infinite"));
    CHECK_FALSE(holds(as("bfloat16").err, "infinite"));
    CHECK_FALSE(holds(as("float32").err, "infinite"));
  }

  TEST_CASE("tied tensors are named: a model file holds each by itself") {
    const Folder in(R"({"type": "Sequential", "modules": [
        {"type": "Linear", "args": {"in_features": 3, "out_features": 3}},
        {"type": "Linear", "args": {"in_features": 3, "out_features": 3, "bias": false}}]})");
    const Tensor shared = Tensor::of({{1, 2, 3}, {4, 5, 6}, {7, 8, 9}});
    const std::string weights = (in.dir / "w.pt").string();
    save_tensors(weights, {{"0.weight", shared}, {"0.bias", Tensor::of({1, 2, 3})}, {"1.weight", shared}});
    const Said said = run({"import", weights, "--arch", in.arch, "-o", in.model});
    CAPTURE(said.err);
    CHECK(said.code == 0);
    CHECK(holds(said.err, "one tensor in the checkpoint, and each by itself in a model file: 0.weight, 1.weight\n"));
    save_tensors(weights, {{"0.weight", shared}, {"0.bias", Tensor::of({1, 2, 3})}, {"1.weight", shared.clone()}});
    CHECK_FALSE(holds(run({"import", weights, "--arch", in.arch, "-o", in.model, "--force"}).err, "one tensor"));
  }
}
