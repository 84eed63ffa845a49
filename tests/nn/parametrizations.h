#pragma once
/// Small parametrizations for tests.

#include "coppice/engine/create.h"
#include "coppice/engine/ops/elementwise.h"
#include "coppice/engine/ops/shape_ops.h"
#include "coppice/nn/parametrize.h"

namespace coppice::test {

/// The lower triangle below the diagonal, n x n.
inline Tensor below_diagonal(std::int64_t n) {
  Tensor keep = coppice::zeros({n, n});
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j < i; ++j) keep.set_({i, j}, 1);
  return keep;
}

#define COPPICE_TEST_PARAMETRIZATION(name, ...)                \
  class name final : public nn::Implements<name> __VA_ARGS__ { \
   public:                                                     \
    static constexpr std::string_view kType = "test." #name;   \
                                                               \
   protected:                                                  \
    [[nodiscard]] Tensor forward(const Tensor& x) const override;

#define COPPICE_TEST_INVERTIBLE(name)                                        \
  COPPICE_TEST_PARAMETRIZATION(name, , public nn::parametrize::RightInverse) \
 public:                                                                     \
  [[nodiscard]] nn::parametrize::Originals right_inverse(const Tensor& x) const override;

COPPICE_TEST_PARAMETRIZATION(Same)
};
inline Tensor Same::forward(const Tensor& x) const { return x; }

COPPICE_TEST_PARAMETRIZATION(AddOne)
}
;
inline Tensor AddOne::forward(const Tensor& x) const { return x + 1.0; }

COPPICE_TEST_PARAMETRIZATION(MinusOne)
}
;
inline Tensor MinusOne::forward(const Tensor& x) const { return x - 1.0; }

/// [n, n] -> its lower triangle minus that triangle transposed.
COPPICE_TEST_PARAMETRIZATION(Skew)
}
;
inline Tensor Skew::forward(const Tensor& x) const {
  const Tensor lower = x * below_diagonal(x.size(0));
  return lower - transpose(lower);
}

COPPICE_TEST_PARAMETRIZATION(FirstRow)
}
;
inline Tensor FirstRow::forward(const Tensor& x) const { return narrow(x, 0, 0, 1); }

COPPICE_TEST_PARAMETRIZATION(FirstZero)
}
;
inline Tensor FirstZero::forward(const Tensor& x) const {
  return cat_tensors({coppice::zeros({1}, x.dtype()), narrow(x, 0, 1, x.size(0) - 1)});
}

COPPICE_TEST_PARAMETRIZATION(LastZero)
}
;
inline Tensor LastZero::forward(const Tensor& x) const {
  return cat_tensors({narrow(x, 0, 0, x.size(0) - 1), coppice::zeros({1}, x.dtype())});
}

COPPICE_TEST_PARAMETRIZATION(ToBool)
}
;
inline Tensor ToBool::forward(const Tensor& x) const { return x.to(Dtype::boolean); }

COPPICE_TEST_INVERTIBLE(Double)
}
;
inline Tensor Double::forward(const Tensor& x) const { return x * 2.0; }
inline nn::parametrize::Originals Double::right_inverse(const Tensor& x) const { return x * 0.5; }

COPPICE_TEST_INVERTIBLE(SameBothWays)
}
;
inline Tensor SameBothWays::forward(const Tensor& x) const { return x; }
inline nn::parametrize::Originals SameBothWays::right_inverse(const Tensor& x) const { return x; }

/// right_inverse halves, but forward changes the shape.
COPPICE_TEST_INVERTIBLE(HalvesAndShrinks)
}
;
inline Tensor HalvesAndShrinks::forward(const Tensor& x) const { return narrow(x, 0, 0, 1); }
inline nn::parametrize::Originals HalvesAndShrinks::right_inverse(const Tensor& x) const { return x * 0.5; }

COPPICE_TEST_INVERTIBLE(InverseToBool)
}
;
inline Tensor InverseToBool::forward(const Tensor& x) const { return x.to(Dtype::f32); }
inline nn::parametrize::Originals InverseToBool::right_inverse(const Tensor& x) const { return x.to(Dtype::boolean); }

COPPICE_TEST_INVERTIBLE(InverseShrinks)
}
;
inline Tensor InverseShrinks::forward(const Tensor& x) const { return x; }
inline nn::parametrize::Originals InverseShrinks::right_inverse(const Tensor& x) const { return narrow(x, 0, 0, 1); }

COPPICE_TEST_INVERTIBLE(InverseOfNothing)
}
;
inline Tensor InverseOfNothing::forward(const Tensor& x) const { return x; }
inline nn::parametrize::Originals InverseOfNothing::right_inverse(const Tensor&) const { return Tensor(); }

COPPICE_TEST_INVERTIBLE(InverseOfTwo)
}
;
inline Tensor InverseOfTwo::forward(const Tensor& x) const { return x; }
inline nn::parametrize::Originals InverseOfTwo::right_inverse(const Tensor& x) const { return TensorList{x, x}; }

COPPICE_TEST_INVERTIBLE(ListOfOne)
}
;
inline Tensor ListOfOne::forward(const Tensor& x) const { return x; }
inline nn::parametrize::Originals ListOfOne::right_inverse(const Tensor& x) const { return TensorList{x}; }

COPPICE_TEST_INVERTIBLE(NoInverseAfterAll)
}
;
inline Tensor NoInverseAfterAll::forward(const Tensor& x) const { return x; }
inline nn::parametrize::Originals NoInverseAfterAll::right_inverse(const Tensor&) const {
  throw NotSupported("[NoInverseAfterAll] has no inverse");
}

#undef COPPICE_TEST_PARAMETRIZATION
#undef COPPICE_TEST_INVERTIBLE

/// Sum of two originals.
class Sum final : public nn::Implements<Sum, nn::Module>, public nn::parametrize::RightInverse {
 public:
  static constexpr std::string_view kType = "test.Sum";
  [[nodiscard]] nn::parametrize::Originals right_inverse(const Tensor& x) const override {
    return TensorList{x, coppice::zeros(x.shape(), x.dtype())};
  }

 protected:
  [[nodiscard]] TensorList forward(const TensorList& in) const override {
    if (in.size() != 2) throw ValueError("[Sum] takes two tensors");
    return {in[0] + in[1]};
  }
};

/// Gives its input twice.
class Twice final : public nn::Implements<Twice, nn::Module> {
 public:
  static constexpr std::string_view kType = "test.Twice";

 protected:
  [[nodiscard]] TensorList forward(const TensorList& in) const override { return {in[0], in[0]}; }
};

}  // namespace coppice::test
