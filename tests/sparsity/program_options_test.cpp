/// Options that have no effect, numbers that are none, folders of others, files that were packed before.
#include "coppice/engine/io/safetensors.h"
#include "coppice/nn/io/model_file.h"
#include "coppice/nn/layers/activation.h"
#include "coppice/nn/layers/container.h"
#include "coppice/nn/layers/linear.h"
#include "coppice/nn/packed/linear.h"
#include "program.h"

using namespace coppice;
using namespace coppice::test;

namespace {

/// Exit code 2, the fragment on stderr, nothing written.
void refused(const TempDir& dir, Words words, const std::string& fragment) {
  const std::size_t files = dir.size();
  words.insert(words.end(), {"-o", (dir / "out.safetensors").string()});
  const Said said = run(words);
  CAPTURE(said.err);
  CHECK(said.code == 2);
  CHECK(holds(said.err, fragment));
  CHECK(dir.size() == files);
}

/// A variable of the environment for one call.
class Environment {
 public:
  Environment(const char* name, const char* value) : name_(name) { ::setenv(name, value, 1); }
  ~Environment() { ::unsetenv(name_); }

 private:
  const char* name_;
};

}  // namespace

TEST_SUITE("sparsity/cli/options") {
  TEST_CASE("an option that would have no effect is refused") {
    const TempDir dir;
    const std::string mlp = models().mlp;
    const Words prune{"prune", mlp, "--amount", "0.5"}, finetune{"finetune", mlp, "--data", "digits"};
    const auto with = [](Words words, const Words& more) {
      words.insert(words.end(), more.begin(), more.end());
      return words;
    };
    refused(dir, with(prune, {"--dim", "1"}), "--dim has an effect with ln_structured and random_structured only");
    refused(dir, with(prune, {"--n", "1"}), "--n has an effect with ln_structured only");
    refused(dir, with(prune, {"--method", "random_structured", "--n", "1"}), "--n has an effect");
    refused(dir, with(finetune, {"--momentum", "0.5"}), "--momentum has an effect with --optimizer sgd only");
    refused(dir, with(finetune, {"--ramp", "0.3"}), "--ramp has an effect with --sparsity, --pattern or --config only");
    refused(dir, {"pack", mlp, "--no-measure", "--shape", "1,64"}, "--shape has an effect");
    const Said said = run({"eval", mlp, "--data", "x.npy,y.npy", "--split", "train"});
    CHECK(said.code == 2);
    CHECK(holds(said.err, "--split has an effect with --data digits only"));
  }

  TEST_CASE("numbers that are none are wrong usage") {
    const TempDir dir;
    for (const char* option : {"--sparsity", "--lr", "--weight-decay", "--validation"})
      for (const char* value : {"nan", "inf", "-0.5", "1e400", "half"}) {
        CAPTURE(option);
        CAPTURE(value);
        refused(dir, {"finetune", models().mlp, "--data", "digits", option, value}, value);
      }
    refused(dir, {"prune", models().mlp, "--amount", "1", "--method", "ln_structured", "--n", "nan"}, "--n nan");
    CHECK(run({"inspect", models().mlp, "--threads", "257"}).code == 2);
  }

  TEST_CASE("integer options are whole decimal numbers inside their range, or wrong usage: no file is read") {
    struct Option {
      Words words;
      const char *lowest, *below, *highest, *above;  ///< the numbers about the ends of the range
    };
    const char *most = "9223372036854775807", *beyond = "9223372036854775808";
    const Words finetune{"finetune", "no", "-o", "o", "--data", "digits"};
    const Words prune{"prune", "no", "--dry-run", "--amount", "1"};
    const auto with = [](Words words, const char* option) {
      words.emplace_back(option);
      return words;
    };
    const std::vector<Option> options{
        {with({"inspect", "no"}, "--threads"), "1", "0", "256", "257"},
        {with({"inspect", "no"}, "--limit-nesting"), "0", "-1", "1000", "1001"},
        {with({"inspect", "no"}, "--limit-rank"), "0", "-1", "18446744073709551615", "18446744073709551616"},
        {with(prune, "--seed"), "0", "-1", "18446744073709551615", "18446744073709551616"},
        {with({"prune", "no", "--dry-run", "--amount", "1", "--method", "ln_structured"}, "--dim"),
         "-9223372036854775808", "-9223372036854775809", most, beyond},
        {with(finetune, "--epochs"), "1", "0", "1000000000", "1000000001"},
        {with(finetune, "--epochs"), "1", "-1", "1000000000", most},
        {with(finetune, "--batch"), "1", "0", most, beyond},
        {with(finetune, "--patience"), "0", "-1", most, beyond},
        {with(finetune, "--seed"), "0", "-1", "18446744073709551615", "18446744073709551616"},
        {with({"run", "no", "no.npy", "-o", "o.npy"}, "--batch"), "1", "0", most, beyond},
        {with({"eval", "no", "--data", "digits"}, "--batch"), "1", "0", most, beyond},
        {with({"bench", "no"}, "--rounds"), "1", "0", "100000", "100001"},
        {with({"bench", "no"}, "--shape"), "1,0", "-1,3", "1,9223372036854775", beyond}};
    const auto code = [](Words words, const std::string& value) {
      words.push_back(value);
      const Said said = run(words);
      CAPTURE(said.err);
      if (said.code == 2) CHECK(holds(said.err, words[words.size() - 2]));
      return said.code;
    };
    for (const Option& o : options) {
      CAPTURE(o.words[0]);
      CAPTURE(o.words.back());
      for (const std::string& value : {std::string(o.lowest), std::string(o.highest)}) {
        CAPTURE(value);
        CHECK(code(o.words, value) == 5);  // the model is not there
      }
      for (const std::string& value :
           {std::string(o.below), std::string(o.above), std::string("99999999999999999999"), std::string("0x10"),
            std::string("1e3"), std::string("1.5"), std::string("+1"), std::string(" 1"), std::string("one")}) {
        CAPTURE(value);
        CHECK(code(o.words, value) == 2);
      }
    }
    CHECK(code({"bench", "no", "--shape"}, "1,4294967296,4294967296") == 2);
    CHECK(run({"demo", "--data-only", "--seed", "-1"}).code == 2);
    const Json ten = json_of({"prune", models().mlp, "--dry-run", "--amount", "1", "--seed", "010"});
    CHECK(ten.at("seed") == 10);
  }

  TEST_CASE("models without the gradients that training needs: exit code 3 and the file") {
    const TempDir dir;
    const std::string model = (dir / "m.safetensors").string();
    const auto check_refused = [&](const nn::Module& m) {
      nn::save_model(m, model);
      const Said said = run({"finetune", model, "-o", (dir / "out.safetensors").string(), "--data", "digits"});
      CAPTURE(said.err);
      CHECK(said.code == 3);
      CHECK(holds(said.err, model));
      CHECK(dir.size() == 1);
    };
    const auto packed = [](std::int64_t out, std::int64_t in) {
      return nn::PackedLinear::from_dense(nn::Linear(in, out).tensor("weight"), Tensor(), "csr");
    };
    check_refused(nn::Sequential{std::make_shared<nn::Linear>(64, 20), std::make_shared<nn::ReLU>(), packed(10, 20)});
    check_refused(*packed(10, 64));
    nn::Linear frozen(64, 10);
    frozen.requires_grad_(false);
    check_refused(frozen);
    // Nothing in front of a packed layer trains: it needs no gradient.
    const nn::Sequential behind{packed(20, 64), std::make_shared<nn::ReLU>(), std::make_shared<nn::Linear>(20, 10)};
    nn::save_model(behind, model);
    const std::string out = (dir / "out.safetensors").string();
    CHECK(run({"finetune", model, "-o", out, "--data", "digits", "--epochs", "1"}).code == 0);
  }

  TEST_CASE("an output whose name promises another format is refused") {
    const TempDir dir;
    const std::string mlp = models().mlp, pt = (dir / "out.pt").string();
    for (const Words& words : {Words{"prune", mlp, "--amount", "0.5", "-o", pt}, Words{"pack", mlp, "-o", pt},
                               Words{"finetune", mlp, "--data", "digits", "-o", pt}}) {
      const Said said = run(words);
      CHECK(said.code == 2);
      CHECK(holds(said.err, "`coppice convert`"));
    }
    CHECK(dir.size() == 0);
  }

  TEST_CASE("settings of the environment that cannot be used are named") {
    const Words inspect{"inspect", models().mlp};
    for (const char* value : {"abc", "0", "-3", "1000"}) {
      const Environment threads("COPPICE_NUM_THREADS", value);
      CHECK(holds(run(inspect).err, cat("COPPICE_NUM_THREADS must be in 1..256; '", value, "'")));
    }
    const Environment level("COPPICE_CPU_LEVEL", "avx9");
    CHECK(holds(run(inspect).err, "COPPICE_CPU_LEVEL must be v2, v3 or v4; 'avx9'"));
  }

  TEST_CASE("the demo does not replace files that no demo wrote") {
    const TempDir dir;
    spill(dir / "test_images.npy", "mine");
    const Words demo{"demo", dir.path().string(), "--data-only"};
    const Said said = run(demo);
    CHECK(said.code == 2);
    CHECK(holds(said.err, "test_images.npy"));
    CHECK(holds(said.err, "--force"));
    CHECK(slurp(dir / "test_images.npy") == "mine");
    CHECK(dir.size() == 1);
    Words forced = demo;
    forced.emplace_back("--force");
    CHECK(run(forced).code == 0);
    CHECK(slurp(dir / "test_images.npy") != "mine");
    CHECK(run(demo).code == 0);  // its own files it may
  }

  TEST_CASE("a packed model is not packed again, and notes of a file are handed on") {
    const TempDir dir;
    const std::string pruned = (dir / "pruned.safetensors").string(), packed = (dir / "packed.safetensors").string();
    REQUIRE(run({"prune", models().mlp, "-o", pruned, "--amount", "0.9"}).code == 0);
    CHECK(read_safetensors(pruned).metadata().at("coppice.source") == "mlp_digits.pt");
    REQUIRE(run({"pack", pruned, "-o", packed, "--no-measure"}).code == 0);
    CHECK(read_safetensors(packed).metadata().contains("coppice.source"));
    const Said said = run({"pack", packed, "-o", (dir / "again.safetensors").string()});
    CHECK(said.code == 3);
    CHECK(holds(said.err, "packed already"));
    CHECK(dir.size() == 2);
  }

  TEST_CASE("inspect counts the weights of a model, masked and packed ones as they are") {
    const TempDir dir;
    const std::string masked = (dir / "masked.safetensors").string(), packed = (dir / "packed.safetensors").string();
    REQUIRE(run({"prune", models().mlp, "-o", masked, "--amount", "0.9", "--keep-masks"}).code == 0);
    REQUIRE(run({"pack", masked, "-o", packed, "--no-measure"}).code == 0);
    for (const std::string& file : {masked, packed}) {
      const Json document = json_of({"inspect", file});
      CHECK(document.at("weights") == 50200);
      CHECK(document.at("weight_zeros") == 45180);
      CHECK(holds(run({"inspect", file}).out, "weights: 50,200, 45,180 of them zero (90.0 %)"));
    }
  }

  TEST_CASE("names that do not fit in import are listed, a mask among them") {
    const TempDir dir;
    const Said said =
        run({"import", (kLenet.parent_path() / "../../tests/data/lenet_digits_pruned80.pt").string(), "--arch",
             (kData / "mlp_digits.arch.json").string(), "-o", (dir / "m.safetensors").string()});
    CHECK(said.code == 3);
    CHECK(holds(said.err, "missing:"));
    CHECK(holds(said.err, "'0.weight_mask'"));
  }

  TEST_CASE("checkpoints whose masks do not fit their tensors") {
    const TempDir dir;
    const std::string in = (dir / "in.safetensors").string();
    write_safetensors(in, {{"w_orig", Tensor::of({{1, 2}})}, {"w_mask", Tensor::of({1})}});
    const Said shape = run({"prune", in, "--dry-run", "--amount", "1"});
    CHECK(shape.code == 3);
    CHECK(holds(shape.err, "'w_mask' has shape (1,) for 'w_orig' of (1, 2)"));
    write_safetensors(in, {{"w", Tensor::of({1})}, {"w_orig", Tensor::of({1})}, {"w_mask", Tensor::of({1})}});
    const Said twice = run({"prune", in, "--dry-run", "--amount", "1"});
    CHECK(twice.code == 3);
    CHECK(holds(twice.err, "holds 'w' beside 'w_orig'"));
  }
}
