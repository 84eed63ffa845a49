// Runs of fine-tuning that are interrupted and go on from their checkpoint.
#include <fstream>

#include "coppice/engine/io/safetensors.h"
#include "coppice/nn.h"
#include "coppice/sparsity/training/callbacks/checkpoint.h"
#include "coppice/sparsity/training/finetune.h"
#include "engine/io/io_support.h"
#include "sparsity/training/points.h"

using namespace coppice;
using namespace coppice::test;
using namespace coppice::sparsity;
using nn::Linear;

namespace {

/// With dropout, so that the default generator takes part, and batch norm, whose buffers do.
nn::ModulePtr net(double dropout = 0.25, nn::ModulePtr activation = std::make_shared<nn::ReLU>(), double eps = 1e-5) {
  manual_seed(0);
  return std::make_shared<nn::Sequential>(std::initializer_list<nn::ModulePtr>{
      std::make_shared<Linear>(4, 12),
      std::make_shared<nn::BatchNorm1d>(nn::BatchNormSettings{.features = 12, .eps = eps}), std::move(activation),
      std::make_shared<nn::Dropout>(dropout), std::make_shared<Linear>(12, 3)});
}

Dataset points(std::int64_t n = 100) { return test::points(n, 4, 3); }

FinetuneOptions options() {
  FinetuneOptions o;
  o.epochs = 6, o.batch = 16, o.lr = 0.01, o.sparsity = 0.5, o.patience = 0;
  return o;
}

struct Crash {};

/// Trains until `stop` epochs are reported, then is gone. Returns whether the run ended by itself.
bool train(nn::Module& model, const FinetuneOptions& o, int stop) {
  try {
    int n = 0;
    finetune(model, points(), o, is_prunable, [&](const EpochReport&) {
      if (++n == stop) throw Crash();
      return true;
    });
    return true;
  } catch (const Crash&) {
    return false;
  }
}

/// What resuming says to this checkpoint, and that the model is untouched if it is refused.
std::string resume(const std::filesystem::path& checkpoint, FinetuneOptions o = options(),
                   nn::ModulePtr model = net()) {
  o.checkpoint = checkpoint;
  const nn::ModulePtr before = model->clone();
  const std::string said = outcome([&] { return finetune(*model, points(), o).best_epoch; });
  if (said != "accepted") check_same_bits(nn::state_dict(*model), nn::state_dict(*before));
  return said;
}

void refused(const std::string& said, const std::string& fragment) {
  CAPTURE(said);
  CHECK(said.starts_with("FormatError"));
  CHECK(said.find(fragment) != said.npos);
}

}  // namespace

TEST_SUITE("sparsity/training/checkpoint") {
  TEST_CASE("an interrupted run ends with the bytes of an uninterrupted one") {
    using Optimizer = FinetuneOptions::Optimizer;
    for (const Optimizer optimizer : {Optimizer::adam, Optimizer::adamw, Optimizer::sgd})
      for (const int threads : {1, 2, 7}) {
        CAPTURE(threads);
        set_num_threads(threads);
        FinetuneOptions o = options();
        o.optimizer = optimizer;
        const nn::ModulePtr straight = net();
        manual_seed(5);
        const FinetuneReport whole = finetune(*straight, points(), o);
        const TempDir dir;
        o.checkpoint = dir / "run.safetensors";
        const nn::ModulePtr again = net();
        manual_seed(5);
        for (const int stop : {2, 1, 2}) {
          CHECK_FALSE(train(*again, o, stop));
          manual_seed(77);  // another process has another state
        }
        const FinetuneReport rest = finetune(*again, points(), o);
        check_same_bits(nn::state_dict(*again), nn::state_dict(*straight));
        REQUIRE(rest.epochs.size() == whole.epochs.size());
        for (std::size_t i = 0; i < whole.epochs.size(); ++i) {
          CHECK(rest.epochs[i].train_loss == whole.epochs[i].train_loss);
          CHECK(rest.epochs[i].validation.loss == whole.epochs[i].validation.loss);
          CHECK(rest.epochs[i].best == whole.epochs[i].best);
        }
        CHECK(rest.best_epoch == whole.best_epoch);
      }
    set_num_threads(2);
  }

  TEST_CASE("a run that was done is done: its checkpoint gives the result again") {
    const TempDir dir;
    FinetuneOptions o = options();
    o.checkpoint = dir / "run.safetensors";
    const nn::ModulePtr first = net(), second = net();
    finetune(*first, points(), o);
    int epochs = 0;
    finetune(*second, points(), o, is_prunable, [&](const EpochReport&) { return ++epochs > 0; });
    CHECK(epochs == 0);
    check_same_bits(nn::state_dict(*second), nn::state_dict(*first));
  }

  TEST_CASE("checkpoints that are damaged, or of another run") {
    const TempDir dir;
    FinetuneOptions o = options();
    o.checkpoint = dir / "run.safetensors";
    const nn::ModulePtr model = net();
    REQUIRE_FALSE(train(*model, o, 3));
    const std::string good = slurp(dir / "run.safetensors");
    const auto bent = [&](const std::string& bytes) {
      spill(dir / "bent.safetensors", bytes);
      return dir / "bent.safetensors";
    };
    SUBCASE("as it is, it is accepted") { CHECK(resume(bent(good)) == "accepted"); }
    SUBCASE("truncated anywhere") {
      for (std::size_t n = 0; n < good.size(); n += 501) {
        CAPTURE(n);
        CHECK(resume(bent(good.substr(0, n))).starts_with("FormatError"));
      }
    }
    SUBCASE("a flipped bit in the numbers") {
      for (std::size_t i = 1; i <= 40; ++i) {
        std::string bytes = good;
        bytes[bytes.size() - i * (good.size() / 100)] ^= 1;
        refused(resume(bent(bytes)), "is damaged");
      }
    }
    SUBCASE("another recipe") {
      FinetuneOptions other = options();
      other.lr = 0.02;
      refused(resume(bent(good), other), "belongs to another run: lr was 0.01 and is 0.02");
      other = options();
      other.epochs = 7;
      refused(resume(bent(good), other), "epochs was 6 and is 7");
      other = options();
      other.sparsity.reset();
      refused(resume(bent(good), other), "sparsity was 0.5 and is null");
      other = options();
      other.ties = TieRule::pytorch;
      refused(resume(bent(good), other), "ties was not there and is \"pytorch\"");
      {
        const TieRuleScope scope(TieRule::pytorch);  // the rule that is set is the rule of the run
        refused(resume(bent(good), options()), "ties was not there and is \"pytorch\"");
      }
      other.checkpoint = dir / "theirs.safetensors";
      REQUIRE_FALSE(train(*net(), other, 2));
      refused(resume(dir / "theirs.safetensors"), "'ties' was \"pytorch\" and is not there");
      CHECK(resume(dir / "theirs.safetensors", other) == "accepted");
    }
    SUBCASE("another model of the same shapes") {
      const nn::ModulePtr stranger = net();
      const NoGrad off;
      stranger->child("0")->tensor("weight").fill_(1);
      refused(resume(bent(good), options(), stranger), "belongs to another run: model was");
    }
    SUBCASE("the same tensors in other modules, or with others of them frozen") {
      const std::string words = "belongs to another run: modules was";
      refused(resume(bent(good), options(), net(0.5)), words);
      refused(resume(bent(good), options(), net(0.25, std::make_shared<nn::Tanh>())), words);
      refused(resume(bent(good), options(), net(0.25, std::make_shared<nn::ReLU>(), 1e-3)), words);
      const nn::ModulePtr frozen = net();
      frozen->child("0")->tensor("bias").requires_grad_(false);
      refused(resume(bent(good), options(), frozen), words);
      CHECK(resume(bent(good), options(), net()->clone()) == "accepted");
    }
    SUBCASE("no checkpoint, no safetensors, a folder") {
      write_safetensors(dir / "plain.safetensors", {{"a", ones({1})}});
      refused(resume(dir / "plain.safetensors"),
              "is no checkpoint of fine-tuning: it has no metadata 'coppice.finetune'");
      refused(resume(bent("hello")), "bent.safetensors");
      std::filesystem::create_directory(dir / "folder");
      CHECK(resume(dir / "folder").starts_with("IoError"));
    }
  }

  TEST_CASE("checkpoints that lie under a right checksum") {
    const TempDir dir;
    FinetuneOptions o = options();
    o.checkpoint = dir / "run.safetensors";
    const nn::ModulePtr model = net();
    REQUIRE_FALSE(train(*model, o, 3));
    const NamedTensors good = read_safetensors(dir / "run.safetensors", {.map = false});
    const auto with_tensors = [&](NamedTensors bent) {
      bent.metadata() = good.metadata();
      write_safetensors(dir / "bent.safetensors", bent, {.checksums = true});
      return resume(dir / "bent.safetensors");
    };
    const auto without = [&](const std::string& name) {
      NamedTensors bent = good;
      REQUIRE(bent.erase(name));
      return bent;
    };
    const auto instead = [&](const std::string& name, const Tensor& tensor) {
      NamedTensors bent = good;
      REQUIRE(bent.contains(name));
      bent.set(name, tensor);
      return bent;
    };
    refused(with_tensors(without("optimizer.0.exp_avg")), "the state of parameter 0 is not complete");
    refused(with_tensors(without("optimizer.0.step")), "the state of parameter 0 is not complete");
    refused(with_tensors(without("model.0.weight_mask")), "missing: '0.weight_mask'");
    refused(with_tensors(without("random.order")), "random.order");
    refused(with_tensors(without("step")), "step");
    refused(with_tensors(without("report")), "report");
    refused(with_tensors(instead("model.0.weight_mask", ones({4, 12}))), "shape of '0.weight_mask'");
    refused(with_tensors(instead("optimizer.0.exp_avg", ones({3}))), "has shape (3,)");
    refused(with_tensors(instead("optimizer.0.exp_avg", good.at("optimizer.0.exp_avg").to(Dtype::f64))), "is float64");
    refused(with_tensors(instead("step", Tensor::from(std::vector<std::int64_t>{1'000'000}, {}))),
            "step 1000000 after 3 epochs");
    refused(with_tensors(instead("report", coppice::zeros({9, 7}).to(Dtype::f64))), "does not fit 6 epochs");
    refused(with_tensors(instead("report", coppice::zeros({3, 7}).to(Dtype::f64))), "row 0 of the report is no epoch");
    refused(with_tensors(instead("random.order", full({630}, 1e9, Dtype::i64))), "state");
    NamedTensors more = good;
    more.add("optimizer.99.exp_avg", ones({1}));
    refused(with_tensors(more), "belong to no parameter");
    NamedTensors best = good;
    best.add("best.extra", ones({1}));
    refused(with_tensors(best), "the best epoch holds ");
    const Tensor other = good.at("best.0.weight_mask").to(Dtype::f64);
    refused(with_tensors(instead("best.0.weight_mask", other)), "the best epoch has no '0.weight_mask' of float32");
    const auto with_metadata = [&](const std::string& from, const std::string& to) {
      NamedTensors bent = good;
      std::string& text = bent.metadata()["coppice.finetune"];
      REQUIRE(text.find(from) != text.npos);
      text.replace(text.find(from), from.size(), to);
      write_safetensors(dir / "bent.safetensors", bent);
      return resume(dir / "bent.safetensors");
    };
    refused(with_metadata("\"format\":1", "\"format\":2"), "format version 1 is read; \"format\" is '2'");
    refused(with_metadata("\"format\":1", "\"format\":\"1\""), "\"format\" is '\"1\"'");
    refused(with_metadata("\"format\":1", "\"form\":1"), "\"format\" is 'not there'");
    refused(with_metadata("{\"format\"", "[[[[[[{\"format\""), "the text must not be a list");
    refused(with_metadata("\"batch\":16", "\"batch\":{}"), "'recipe.batch' must not be an object");
    refused(with_metadata("\"batch\":16", "\"batch\":16,\"batch\":16"), "key 'recipe.batch' stands twice");
    refused(with_metadata("\"format\":1", "\"format\":1,\"format\":1"), "key 'format' stands twice");
    refused(with_metadata("\"format\":1", "\"format\":1,\"" + std::string(5000, 'x') + "\":1"), "at most 4096 bytes");
    refused(with_metadata("\"format\":1", "\"format\":1,"), "must be JSON");
    refused(with_metadata("\"format\":1", std::string("\"format\":1\0", 11)), "contains NUL");
    refused(with_metadata("\"recipe\":{", "\"recipe\":7,\"x\":{"), "must have an object \"recipe\"; it is '7'");
    refused(with_metadata("\"batch\":16,", ""), "batch was not there and is 16");
    CHECK(good.metadata().at("coppice.finetune").size() < 500);  // however many modules there are: 4096 is the most
  }

  TEST_CASE("a recipe that no file could be gone on from is refused before the training") {
    const TempDir dir;
    for (const std::string& recipe :
         {std::string(), std::string("7"), std::string("[]"), std::string("{\"a\":{}}"), std::string("{\"a\":[1]}"),
          std::string("{\"a\":1,\"a\":1}"), "{\"a\":\"" + std::string(5000, 'x') + "\"}"}) {
      CAPTURE(recipe);
      CHECK_THROWS_AS(Checkpoint(dir / "run.safetensors", recipe), ValueError);
    }
    CHECK_NOTHROW(Checkpoint(dir / "run.safetensors", "{\"a\":1,\"b\":\"c\"}"));
    CHECK_NOTHROW(Checkpoint(dir / "run.safetensors", "{}"));
  }

  TEST_CASE("a model whose masks are a parametrization's trains and resumes, the masks staying as they are") {
    const TempDir dir;
    const auto prepared = [] {
      const nn::ModulePtr m = net();
      Generator g(3);
      const Tensor mask = gt(rand({12, 4}, Dtype::f32, &g), Tensor::of(0.5)).to(Dtype::f32);
      nn::parametrize::register_parametrization(*m->child("0"), "weight", std::make_shared<nn::FakeSparsity>(mask));
      return m;
    };
    FinetuneOptions o = options();
    o.sparsity.reset();
    const nn::ModulePtr straight = prepared(), again = prepared();
    const Tensor zeros_before = eq(straight->child("0")->tensor("weight").detach(), Tensor::of(0));
    manual_seed(5);
    finetune(*straight, points(), o);
    CHECK(eq(straight->child("0")->tensor("weight").detach(), Tensor::of(0)) == zeros_before);
    o.checkpoint = dir / "run.safetensors";
    manual_seed(5);
    CHECK_FALSE(train(*again, o, 2));
    finetune(*again, points(), o);
    check_same_bits(nn::all_tensors(*again), nn::all_tensors(*straight));
  }
}
