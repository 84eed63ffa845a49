/// Arguments of every kind in model files: what comes back is what was saved, in the lowest format that holds it.
#include <cmath>
#include <limits>
#include <set>

#include "coppice/engine/autograd.h"
#include "coppice/engine/io/safetensors.h"
#include "coppice/nn/io/architecture.h"
#include "coppice/nn/io/model_file.h"
#include "engine/io/io_support.h"
#include "nn/carrier.h"

using namespace coppice;
using namespace coppice::test;
using nn::Arguments, nn::ModulePtr;

namespace {

using List = std::vector<std::int64_t>;
using Reals = std::vector<double>;

ModulePtr carrier(const Arguments& arguments) {
  know_carrier();
  return std::make_shared<Carrier>(arguments);
}

ModulePtr with_settings(const Argument& value) { return carrier({{"settings", Arguments{{"x", value}}}}); }

std::string description(const std::filesystem::path& file) {
  return read_safetensors(file).metadata().at(nn::kModelKey);
}

/// What saving says; nothing is written where it refuses.
std::string saved(const nn::Module& model) {
  const TempDir dir;
  const std::string said = outcome([&] {
    nn::save_model(model, dir / "m.safetensors");
    return 0;
  });
  CHECK((dir.size() == 0) == (said != "accepted"));
  if (said == "accepted") CHECK(outcome([&] { return nn::load_model(dir / "m.safetensors"); }) == "accepted");
  return said;
}

Arguments nested(int maps) {
  Arguments out{{"x", true}};
  for (int i = 1; i < maps; ++i) out = Arguments{{"m", out}};
  return out;
}

/// Makes a Carrier itself.
class Maker final : public nn::Implements<Maker> {
 public:
  static constexpr std::string_view kType = "test.Maker";
  Maker() { add_module("made", carrier(carried())); }
  explicit Maker(const Arguments&) : Maker() {}

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return (*child("made"))(x); }
};

}  // namespace

TEST_SUITE("nn/io/model_arguments") {
  TEST_CASE("every kind comes back with its value, and the results with them, mapped or read") {
    const TempDir dir;
    const ModulePtr model = carrier(carried());
    nn::save_model(*model, dir / "m.safetensors");
    const Tensor x = Tensor::of({1, 2});
    for (const bool map : {true, false}) {
      const ModulePtr back = nn::load_model(dir / "m.safetensors", {.map = map});
      const Arguments given = back->arguments(), own = model->arguments();
      CHECK(given == own);
      CHECK(to_string(given) == to_string(own));  // kinds and order too
      CHECK((*back)(x) == Tensor::of({8.5, 15.5}));
      CHECK((*model)(x) == Tensor::of({8.5, 15.5}));
      const Arguments& settings = dynamic_cast<Carrier&>(*back).settings();
      CHECK(std::holds_alternative<double>(*settings.find("whole")));
      CHECK(std::holds_alternative<Reals>(*settings.find("levels")));
      CHECK(std::signbit(given.numbers("factors").at(1)));
      CHECK(settings.map("deeper").map("map").tensor("tensor").dtype() == Dtype::i64);
      CHECK(settings.map("deeper").function<Tensor(const Tensor&)>("fn")(x) == Tensor::of({-1, -2}));
      CHECK(nn::state_dict(*back).empty());
      nn::save_model(*back, dir / "again.safetensors");
      CHECK(slurp(dir / "again.safetensors") == slurp(dir / "m.safetensors"));
    }
  }

  TEST_CASE("each new kind alone takes format 2; what format 1 holds is written as format 1") {
    const TempDir dir;
    const auto format = [&](const nn::Module& model) {
      nn::save_model(model, dir / "m.safetensors");
      const std::string text = description(dir / "m.safetensors");
      (void)nn::load_model(dir / "m.safetensors");
      return text.substr(0, text.find(','));
    };
    CHECK(format(*carrier({{"factors", Reals{0.5}}})) == R"({"format":2)");
    CHECK(format(*with_settings(true)) == R"({"format":2)");
    nn::Sequential net{std::make_shared<nn::Linear>(2, 2), std::make_shared<nn::Dropout>(0.5)};
    CHECK(format(net) == R"({"format":1)");
    const auto step = [&](const Argument& value) {
      nn::set_mask(*net.at(0), "weight", ones({2, 2}),
                   std::make_shared<nn::MaskHistory>(std::vector<nn::MaskStep>{{"step", {{"x", value}}}}));
      return format(net);
    };
    for (const Argument& old : {Argument(), Argument(true), Argument(std::int64_t{1}), Argument(0.5),
                                Argument(std::string("t")), Argument(List{1}), Argument(List{}), Argument(Reals{})})
      CHECK(step(old) == R"({"format":1)");
    know_carrier();
    for (const Argument& fresh : {Argument(Reals{1}), Argument(Tensor::of(1)), Argument(Arguments()),
                                  Argument(NamedFunction{"test.carrier.negated"})})
      CHECK(step(fresh) == R"({"format":2)");
  }

  TEST_CASE("tensors of arguments are members that no tensor of a model can be called") {
    const TempDir dir;
    nn::Sequential net{
        {"args", std::make_shared<nn::Linear>(2, 2)}, {"0", carrier(carried())}, {"1", carrier(carried())}};
    nn::save_model(net, dir / "m.safetensors");
    const NamedTensors inside = read_safetensors(dir / "m.safetensors");
    std::set<std::string> names;
    for (const auto& [name, tensor] : inside) names.insert(name);
    CHECK(names == std::set<std::string>{"args.weight", "args.bias", ".args.0", ".args.1", ".args.2", ".args.3",
                                         ".args.4", ".args.5"});
    CHECK(inside.at(".args.0") == Tensor::of({10, 20}));
    CHECK_THROWS_AS(nn::Sequential().add_module("", std::make_shared<nn::ReLU>()), KeyError);
    const ModulePtr back = nn::load_model(dir / "m.safetensors");
    check_same_bits(nn::state_dict(*back), nn::state_dict(net));
    CHECK((*back)(ones({1, 2})) == net(ones({1, 2})));
  }

  TEST_CASE("the steps of a mask hold every kind as well") {
    know_carrier();
    const TempDir dir;
    nn::Linear m(2, 2);
    nn::set_mask(
        m, "weight", ones({2, 2}),
        std::make_shared<nn::MaskHistory>(std::vector<nn::MaskStep>{{"a", carried()}, {"b", {}}, {"c", carried()}}));
    nn::save_model(m, dir / "m.safetensors");
    const auto steps = nn::mask_origin(*nn::load_model(dir / "m.safetensors"), "weight")->steps();
    REQUIRE(steps.size() == 3);
    CHECK(to_string(steps[0].arguments) == to_string(carried()));
    CHECK(steps[0].arguments == carried());
    CHECK(steps[1].arguments.empty());
    CHECK(steps[2].arguments == carried());
  }

  TEST_CASE("a clone has the same arguments and tensors of its own") {
    const ModulePtr model = carrier(carried());
    const ModulePtr copy = model->clone();
    CHECK(to_string(copy->arguments()) == to_string(model->arguments()));
    CHECK(copy->arguments() == model->arguments());
    const Tensor x = Tensor::of({1, 2});
    CHECK((*copy)(x) == (*model)(x));
    copy->arguments().tensor("table").fill_(0);
    dynamic_cast<Carrier&>(*copy).settings().tensor("shift").fill_(0);
    CHECK((*copy)(x) == Tensor::of({-2, -4}));
    CHECK((*model)(x) == Tensor::of({8.5, 15.5}));
  }

  TEST_CASE("children that a class makes are compared by their arguments of every kind") {
    const TempDir dir;
    if (!nn::is_registered(Maker::kType))
      nn::register_module(Maker::kType, [](const Arguments& a) { return std::make_shared<Maker>(a); });
    Maker same;
    nn::save_model(same, dir / "m.safetensors");
    CHECK((*nn::load_model(dir / "m.safetensors"))(Tensor::of({1, 2})) == Tensor::of({8.5, 15.5}));
    Maker other;
    other.child("made")->tensor("table").fill_(0);
    nn::save_model(other, dir / "m.safetensors");
    CHECK((*nn::load_model(dir / "m.safetensors"))(Tensor::of({1, 2})) == Tensor::of({8, 16}));
  }

  TEST_CASE("what no reader takes is not written") {
    CHECK(saved(*with_settings(NamedFunction{"test.carrier.nobody"})) ==
          "KeyError: [save_model] the top module: argument 'settings': argument 'x': function 'test.carrier.nobody' is "
          "not registered: nobody could load the file");
    for (const double value : {std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()}) {
      CHECK(saved(*with_settings(value))
                .starts_with("ValueError: [save_model] the top module: argument 'settings': "
                             "argument 'x' must be finite to stand in a file; got "));
      CHECK(saved(*carrier({{"factors", Reals{1, value}}})).starts_with("ValueError: [save_model] "));
    }
    CHECK(saved(*carrier({{"factors", Reals(1000, 0.5)}})) == "accepted");
    CHECK(saved(*carrier({{"factors", Reals(1001, 0.5)}})) ==
          "ValueError: [save_model] the top module: argument 'factors' must have at most 1000 items; got 1001");
    CHECK(saved(*carrier({{"settings", nested(16)}})) == "accepted");
    CHECK(saved(*carrier({{"settings", nested(17)}})).find("maps must be nested at most 16 deep") != std::string::npos);
    Arguments many;
    for (int i = 0; i < 1000; ++i) many.set(cat("k", i), true);
    CHECK(saved(*carrier({{"settings", many}})) == "accepted");
    many.set("one more", true);
    CHECK(saved(*carrier({{"settings", many}})) ==
          "ValueError: [save_model] the top module: argument 'settings' must have at most 1000 entries; got 1001");
    CHECK(saved(*with_settings(std::string("\xff"))).find("UTF-8") != std::string::npos);
  }

  TEST_CASE("a file holds at most 1,000,000 arguments") {
    Arguments thousand;
    for (int i = 0; i < 1000; ++i) thousand.set(cat(i), true);
    Arguments settings;
    for (int i = 0; i < 1000; ++i) settings.set(cat(i), thousand);
    CHECK(saved(*carrier({{"settings", settings}})).find("a file holds at most 1000000 arguments") !=
          std::string::npos);
  }

  TEST_CASE("an architecture has every kind but tensors") {
    know_carrier();
    const ModulePtr made = nn::parse_architecture(R"({"type": "test.Carrier", "args": {"factors": [2, 0.5],
        "settings": {"map": {"x": {"map": {}}}}, "function": {"function": "test.carrier.negated"}}})");
    CHECK(made->arguments() == Arguments{{"factors", Reals{2, 0.5}},
                                         {"settings", Arguments{{"x", Arguments{}}}},
                                         {"function", NamedFunction{"test.carrier.negated"}}});
    const std::string said = outcome(
        [] { return nn::parse_architecture(R"({"type": "test.Carrier", "args": {"table": {"tensor": ".args.0"}}})"); });
    CHECK(said.starts_with("FormatError: "));
    CHECK(said.find("argument 'table': a tensor can stand in a model file only") != said.npos);
  }
}
