#include "coppice/sparsity/training/dataset.h"

#include <doctest/doctest.h>

#include <cmath>

#include "coppice/engine/create.h"
#include "coppice/nn.h"

using namespace coppice;
using namespace coppice::sparsity;

namespace {
Tensor classes(std::vector<std::int64_t> y) { return Tensor::from(y, {static_cast<std::int64_t>(y.size())}); }
}  // namespace

TEST_SUITE("sparsity/training/dataset") {
  TEST_CASE("samples and classes must fit; other types of either are converted or refused") {
    const Dataset d = make_dataset(ones({2, 3}, Dtype::f64), classes({0, 1}).to(Dtype::u8));
    CHECK(d.x.dtype() == Dtype::f32);
    CHECK(d.y.dtype() == Dtype::i64);
    CHECK(d.size() == 2);
    CHECK_THROWS_AS((void)make_dataset(ones({2, 3}), classes({0})), ShapeError);
    CHECK_THROWS_AS((void)make_dataset(ones({2, 3}), zeros({2, 1}, Dtype::i64)), ShapeError);
    CHECK_THROWS_AS((void)make_dataset(Tensor::of(1), classes({0})), ShapeError);
    CHECK_THROWS_AS((void)make_dataset(ones({2, 3}, Dtype::i32), classes({0, 1})), DtypeError);
    CHECK_THROWS_AS((void)make_dataset(ones({2, 3}), ones({2})), DtypeError);
    CHECK_THROWS_AS((void)make_dataset(ones({2, 3}), ones({2}, Dtype::boolean)), DtypeError);
  }

  TEST_CASE("a class that is none is named by its place in the data, whatever the batch") {
    const nn::Identity model;
    const Dataset d = make_dataset(zeros({5, 3}), classes({0, 2, 1, 3, -1}));
    for (const std::int64_t batch : {1, 2, 100}) {
      CAPTURE(batch);
      CHECK_THROWS_WITH_AS((void)evaluate(model, d, batch), "[dataset] class 3 of sample 3 is outside 0..2",
                           IndexError);
    }
    CHECK_THROWS_WITH_AS(check_classes(classes({0, -1}).to(Dtype::i8), 1),
                         "[dataset] class -1 of sample 1 is outside 0..0", IndexError);
    CHECK_NOTHROW(check_classes(classes({0, 2, 1}), 3));
    CHECK_NOTHROW(check_classes(Tensor::of({7}), 3));
    CHECK_NOTHROW(check_classes(classes({}), 0));
  }

  TEST_CASE("the first sample that holds NaN is found, in any floating type") {
    Tensor x = zeros({4, 2, 3});
    CHECK_FALSE(first_nan(x));
    x.set_({3, 0, 0}, NAN);
    x.set_({2, 1, 2}, NAN);
    x.set_({1, 0, 0}, INFINITY);
    for (const Dtype dtype : {Dtype::f32, Dtype::f64, Dtype::f16, Dtype::bf16}) CHECK(first_nan(x.to(dtype)) == 2);
    CHECK_FALSE(first_nan(zeros({2}, Dtype::i64)));
    CHECK_FALSE(first_nan(zeros({0, 3})));
    CHECK_FALSE(first_nan(zeros({3, 0})));
  }

  TEST_CASE("a subset has the rows asked for, in that order") {
    const Dataset d = make_dataset(Tensor::of({{1, 1}, {2, 2}, {3, 3}}), classes({10, 20, 30})).subset({2, 0, 2});
    CHECK(d.x == Tensor::of({{3, 3}, {1, 1}, {3, 3}}));
    CHECK(d.y == classes({30, 10, 30}));
    CHECK(make_dataset(ones({1, 2}), classes({0})).subset({}).size() == 0);
  }

  TEST_CASE("evaluate counts the largest output, the lower class in a tie, and the mean cross-entropy") {
    nn::Identity model;
    const Dataset d = make_dataset(Tensor::of({{1, 1, 0}, {0, 0, 3}, {2, 1, 1}}), classes({0, 2, 1}));
    for (const std::int64_t batch : {1, 2, 3, 100}) {
      CAPTURE(batch);
      const Evaluation e = evaluate(model, d, batch);
      CHECK(e.correct == 2);
      CHECK(e.count == 3);
      CHECK(e.accuracy() == doctest::Approx(2.0 / 3));
      const double first = std::log(2 * std::exp(1.0) + 1) - 1, second = std::log(2 + std::exp(3.0)) - 3,
                   third = std::log(std::exp(2.0) + 2 * std::exp(1.0)) - 1;
      CHECK(e.loss == doctest::Approx((first + second + third) / 3));
    }
    CHECK(evaluate(model, d.subset({})).accuracy() == 0);
    for (const std::int64_t batch : {std::int64_t{0}, std::int64_t{-1}})
      CHECK_THROWS_AS((void)evaluate(model, d, batch), ValueError);
  }

  TEST_CASE_TEMPLATE("classes may be integers of any width", T, std::int8_t, std::uint8_t, std::int16_t, std::int32_t,
                     std::int64_t) {
    const nn::Identity model;
    const Tensor x = Tensor::of({{1, 1, 0}, {0, 0, 3}, {2, 1, 1}}), y = classes({0, 2, 1});
    const Dataset narrow{x, y.to(dtype_of<T>)};  // without make_dataset, which widens them
    const Evaluation e = evaluate(model, narrow, 2), wide = evaluate(model, {x, y}, 2);
    CHECK(e.correct == 2);
    CHECK(e.loss == wide.loss);
    CHECK(evaluate(model, narrow.subset({1, 0})).correct == 2);
    CHECK_THROWS_AS((void)evaluate(model, {x, classes({0, 1, 3}).to(dtype_of<T>)}), IndexError);
    CHECK(nn::CrossEntropyLoss()(x, narrow.y).item() == doctest::Approx(wide.loss));
  }

  TEST_CASE("a const model is evaluated as it is, or as a copy in eval mode, and never changed") {
    const auto model = std::make_shared<nn::Sequential>(std::initializer_list<nn::ModulePtr>{
        std::make_shared<nn::Linear>(3, 3), std::make_shared<nn::BatchNorm1d>(3), std::make_shared<nn::Dropout>(0.9)});
    const nn::Module& fixed = *model;
    const Dataset d = make_dataset(ones({4, 3}), classes({0, 1, 2, 0}));
    const Evaluation wanted = evaluate(*model, d);
    CHECK(model->training());
    CHECK(evaluate(fixed, d).loss == wanted.loss);
    CHECK(fixed.training());
    CHECK(model->at(1)->tensor("running_mean") == zeros({3}));
    model->eval();
    CHECK(evaluate(fixed, d).loss == wanted.loss);
    model->at(2)->set_training(true);  // a part alone
    CHECK(evaluate(fixed, d).loss == wanted.loss);
    CHECK(model->at(2)->training());
    CHECK_THROWS_AS((void)evaluate(fixed, d, 0), ValueError);
  }

  TEST_CASE("the model runs in eval mode, without gradients, and gets its mode back even after an error") {
    nn::Sequential model{std::make_shared<nn::Linear>(3, 3), std::make_shared<nn::Dropout>(0.9)};
    const Dataset d = make_dataset(ones({4, 3}), classes({0, 1, 2, 0}));
    CHECK(evaluate(model, d).loss == evaluate(model, d).loss);
    CHECK(model.training());
    CHECK(model.at(1)->training());
    CHECK_FALSE(model.at(0)->tensor("weight").grad().defined());
    CHECK_THROWS_AS((void)evaluate(model, make_dataset(ones({4, 2}), d.y)), ShapeError);
    CHECK_THROWS_AS((void)evaluate(model, make_dataset(d.x, classes({0, 1, 3, 0}))), IndexError);
    CHECK(model.training());
    model.eval();
    (void)evaluate(model, d);
    CHECK_FALSE(model.training());
    model.at(1)->set_training(true);  // a part in another mode than the whole keeps it
    (void)evaluate(model, d);
    CHECK_FALSE(model.training());
    CHECK(model.at(1)->training());
    nn::Identity flat;
    CHECK_THROWS_AS((void)evaluate(flat, make_dataset(ones({4}), d.y)), ShapeError);
  }

  TEST_CASE("count_correct: the largest output is the class, a tie goes to the lower one") {
    const Tensor logits = Tensor::of({{1, 2, 0}, {5, 5, 5}, {0, 1, 2}, {3, 0, 0}});
    CHECK(count_correct(logits, classes({1, 0, 2, 1})) == 3);
    CHECK(count_correct(logits, classes({0, 1, 0, 2})) == 0);
    CHECK_THROWS_AS((void)count_correct(logits, classes({1, 0, 2})), ShapeError);
    CHECK_THROWS_AS((void)count_correct(ones({3}), classes({1, 0, 2})), ShapeError);
  }
}
