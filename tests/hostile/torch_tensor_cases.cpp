/// Hostile PyTorch files: storages and tensors that do not fit, and containers.

#include "hostile/cases.h"
#include "hostile/pickle.h"

using namespace std::string_literals;

namespace coppice::test {

using namespace pickle;

namespace {

// Storage 5, of two floats, and a tensor of it, in the tar archives of PyTorch before 0.1.10.
const std::string kTarStorage = "\x80\2" + tuple({"K\5", text("cpu"), global("torch", "FloatStorage")}) + ".";
const std::string kTarFloats = kTarStorage + le(2, 8) + std::string(8, '\0');
const std::string kTarOne = "\x80\2K\1." + kTarFloats;
const std::string kTarTensor = "\x80\2K\1.\x80\2" + tuple({"K\6", "K\5", global("torch", "FloatTensor")}) + ".";

std::string tar_views(const std::string& of, const std::string& offset, const std::string& size) {
  return "\x80\2]" + tuple({"K\7", of, offset, size}) + "a.";
}

std::string tar_of(const std::string& storages, const std::string& tensors = "\x80\2K\0."s,
                   const std::string& object = "\x80\2K\6Q.") {
  return make_tar({{"storages", storages}, {"tensors", tensors}, {"pickle", object}});
}

}  // namespace

std::vector<Hostile> torch_tensors() {
  const auto four = tuple({num(4)}), one = tuple({num(1)});
  const auto id = [](const std::vector<std::string>& parts) {
    return pt(dict(tensor(num(0), tuple({num(4)}), tuple({num(1)}), tuple(parts) + "Q")));
  };
  const std::string type = global("torch", "FloatStorage");
  const auto ones = tuple(std::vector<std::string>(16, num(1)));
  const auto negated = [&](const std::string& bit, const std::string& held = storage(4)) {
    return rebuilt({held, num(0), four, one, kFalse, kHooks, "}" + text("neg") + bit + "s"});
  };
  std::string again;  // five bytes for a tensor of 32 numbers
  for (int i = 0; i < 400'000; ++i) again += "h\1h\2R";
  return {
      {"H53 four parts", id({text("storage"), type, text("0"), text("cpu")}), "FormatError",
       "number of elements; it is one of 4"},
      {"H53 seven parts", id({text("storage"), type, text("0"), text("cpu"), num(4), "N", "N"}), "FormatError",
       "number of elements; it is one of 7"},
      {"H53 no tuple", pt(dict(text("0") + "Q")), "FormatError", "number of elements; it is a text"},
      {"H53 another tag", id({text("module"), type, text("0"), text("cpu"), num(4)}), "FormatError",
       "this one is tagged 'module'"},
      {"H53 no storage class", id({text("storage"), text("FloatStorage"), text("0"), text("cpu"), num(4)}),
       "FormatError", "needs a storage class; got a text"},
      {"H53 another class", id({text("storage"), global("torch", "Size"), text("0"), text("cpu"), num(4)}),
       "FormatError", "needs a storage class; got 'Size'"},
      {"H53 key ../x", id({text("storage"), type, text("../x"), text("cpu"), num(4)}), "FormatError",
       "must be a number; got '../x'"},
      {"H53 empty key", id({text("storage"), type, text(""), text("cpu"), num(4)}), "FormatError",
       "must be a number; got ''"},
      {"H53 unknown key", id({text("storage"), type, text("7"), text("cpu"), num(4)}), "FormatError",
       "there is no member for storage '7'"},
      {"H53 negative count", id({text("storage"), type, text("0"), text("cpu"), num(UINT64_MAX)}), "FormatError",
       "the number of elements must be at least 0; got -1"},
      {"H53 a view of a storage",
       id({text("storage"), type, text("0"), text("cpu"), num(4), tuple({text("1"), num(0), num(1)})}), "FormatError",
       "views of storages"},
      {"H54 member too small", pt(dict(kGood), std::string(15, 'x')), "FormatError",
       "must have 4 elements of float32; it has 15 bytes"},
      {"H54 member too large", pt(dict(kGood), std::string(17, 'x')), "FormatError", "it has 17 bytes"},
      {"H54 count overflows", pt(dict(tensor(num(0), four, one, storage(std::uint64_t{1} << 62)))), "FormatError",
       "must have 4611686018427387904 elements"},
      {"H55 one storage, two types",
       pt("}" + text("a") + kGood + "s" + text("b") + tensor(num(0), four, one, storage(4, "IntStorage")) + "s"),
       "FormatError", "storage '0' is 4 elements of FloatStorage and again 4 of IntStorage"},
      {"H55 one storage, two types, one of them bytes of another count",
       pt("}" + text("a") + kGood + "s" + text("b") + global("torch._utils", "_rebuild_tensor_v3") +
          tuple({storage(12, "UntypedStorage"), num(0), one, one, kFalse, kHooks, global("torch", "int32")}) + "Rs"),
       "FormatError", "storage '0' is 4 elements of FloatStorage and again 12 of UntypedStorage"},
      {"H55 one storage, two counts",
       pt("}" + text("a") + kGood + "s" + text("b") + tensor(num(0), one, one, storage(2)) + "s"), "FormatError",
       "again 2 of FloatStorage"},
      {"H56 offset beyond", pt(dict(tensor(num(5), tuple({num(0)}), one))), "FormatError",
       "reaches beyond its storage of 4 elements"},
      {"H56 offset and size", pt(dict(tensor(num(1), four, one))), "FormatError",
       "tensor 'w' of shape (4,) at offset 1 reaches beyond"},
      {"H56 stride beyond", pt(dict(tensor(num(0), tuple({num(2), num(2)}), tuple({num(3), num(1)})))), "FormatError",
       "reaches beyond"},
      {"H56 negative stride", pt(dict(tensor(num(3), four, tuple({num(UINT64_MAX)})))), "FormatError",
       "the strides of a tensor must be at least 0; got -1"},
      {"H56 negative offset", pt(dict(tensor(num(UINT64_MAX), four, one))), "FormatError",
       "the offset of a tensor must be at least 0"},
      {"H56 negative size", pt(dict(tensor(num(0), tuple({num(UINT64_MAX)}), one))), "FormatError",
       "the sizes of a tensor must be at least 0"},
      {"H56 stride overflows", pt(dict(tensor(num(0), tuple({num(3)}), tuple({num(INT64_MAX)})))), "FormatError",
       "reaches beyond"},
      {"H56 sum of strides overflows",
       pt(dict(tensor(num(INT64_MAX), tuple({num(2), num(2)}), tuple({num(INT64_MAX), num(INT64_MAX)})))),
       "FormatError", "reaches beyond"},
      {"H56 product of sizes overflows",
       pt(dict(tensor(num(0), tuple({num(1ull << 40), num(1ull << 40)}), tuple({num(0), num(0)})))), "FormatError",
       "the product of its sizes overflows: ("},
      {"H56 expanded to a terabyte", pt(dict(tensor(num(0), tuple({num(1ull << 38)}), tuple({num(0)})))), "LimitError",
       "Limits::extra_bytes"},
      {"H57 more strides than sizes", pt(dict(tensor(num(0), four, tuple({num(1), num(1)})))), "FormatError",
       "needs as many strides as sizes; got 2 and 1"},
      {"H57 sizes are a list", pt(dict(tensor(num(0), "]", one))), "FormatError",
       "the sizes of a tensor must be a tuple; it is a list"},
      {"H57 rank 17",
       pt(dict(
           tensor(num(0), tuple(std::vector<std::string>(17, num(1))), tuple(std::vector<std::string>(17, num(1)))))),
       "LimitError", "Limits::rank"},
      {"H57 a float for a size", pt(dict(tensor(num(0), tuple({"G" + le(0, 8)}), one))), "FormatError",
       "it is a float or longer"},
      {"no storage", pt(dict(tensor(num(0), four, one, "N"))), "FormatError", "a tensor needs a storage; got None"},
      {"too few arguments", pt(dict(rebuilt({storage(4), num(0), four, one}))), "FormatError",
       "_rebuild_tensor_v2 takes 6..7 arguments; got 4"},
      {"requires_grad is a number", pt(dict(rebuilt({storage(4), num(0), four, one, "K\1", kHooks}))), "FormatError",
       "requires_grad must be a boolean; it is an integer"},
      {"hooks that are not empty", pt(dict(rebuilt({storage(4), num(0), four, one, kFalse, kHooks + "NNs"}))),
       "FormatError", "hooks of a tensor must be an empty OrderedDict; it holds 1"},
      {"a parameter of a list",
       pt(dict(global("torch._utils", "_rebuild_parameter") + tuple({"]", kFalse, kHooks}) + "R")), "FormatError",
       "a parameter must hold a tensor; it holds a list"},
      {"neither true nor false for a sign", pt(dict(negated("K\1"))), "FormatError",
       "metadata 'neg' of a tensor must be a boolean; it is an integer"},
      {"a list of metadata", pt(dict(rebuilt({storage(4), num(0), four, one, kFalse, kHooks, "]"}))), "FormatError",
       "the metadata of a tensor must be a dict; it is a list"},
      {"the negative of bools", pt(dict(negated(kTrue, storage(4, "BoolStorage"))), "\1\0\1\1"s), "FormatError",
       "a tensor of bool has no negative"},
      {"a class that rebuilds itself again and again",
       pt(dict(global("torch._tensor", "_rebuild_from_type_v2") + "q\1" +
               tuple({"h\1", global("torch", "Tensor"), tuple({}), "N"}) + "R")),
       "FormatError", "must be rebuilt by another function"},
      {"a class rebuilt from a list",
       pt(dict(global("torch._tensor", "_rebuild_from_type_v2") +
               tuple({global("torch._utils", "_rebuild_tensor_v2"), global("torch", "Tensor"), "]", "N"}) + "R")),
       "FormatError", "a tensor is rebuilt from a tuple; got a list"},
      {"a number for a class of a module", pt(dict(tuple({text("module"), num(1), text(""), text("")}) + "Q")),
       "FormatError", "number of elements; it is one of 4"},
      {"H58 quantised with scale 0",
       pt(dict(global("torch._utils", "_rebuild_qtensor") +
               tuple({storage(4, "QInt8Storage"), num(0), four, one,
                      tuple({global("torch", "per_tensor_affine"), "G" + le(0, 8), num(0)}), kFalse, kHooks}) +
               "R")),
       "accepted", "w: a quantized tensor"},
      {"H59 sparse with wild indices",
       pt(dict(global("torch._utils", "_rebuild_sparse_tensor") + tuple({"N", tuple({kGood, kGood, four})}) + "R")),
       "accepted", "w: a sparse tensor"},
      {"400,000 tensors of sixteen axes from one tuple",
       pt("(" + global("torch._utils", "_rebuild_tensor_v2") + "q\1" +
          tuple({storage(4), num(0), ones, ones, kFalse, kHooks}) + "q\2" + again + "t"),
       "LimitError", "Limits::objects"},
      {"a bool that is neither", pt(dict(tensor(num(0), four, one, storage(4, "BoolStorage"))), "\1\0\5\1"s),
       "FormatError", "element 2 is 5"},
      {"an untyped storage without type", pt(dict(tensor(num(0), four, one, storage(16, "UntypedStorage")))),
       "FormatError", "needs a tensor that names its element type"},
  };
}

std::vector<Hostile> torch_containers() {
  const std::string good = "\x80\2" + dict(kGood) + "."s, data(16, '\0');
  const auto with = [&](const std::vector<Member>& more) {
    std::vector<Member> members{{"m/data.pkl", good}, {"m/data/0", data}};
    members.insert(members.end(), more.begin(), more.end());
    return make_zip(members);
  };
  const std::string old = slurp(std::filesystem::path(COPPICE_TESTS_DIR) / "data/torch/tar_0_1.pt");
  const auto bent = [&old](const std::string& from, const std::string& to) {
    return std::string(old).replace(old.find(from), to.size(), to);
  };
  const std::string legacy = slurp(std::filesystem::path(COPPICE_TESTS_DIR) / "data/torch/legacy_1_13.pt");
  const std::string front = legacy.substr(0, legacy.find("\x80\2ccollections"));  // before the object
  return {
      {"H60 byteorder garbage", with({{"m/version", "3"}, {"m/byteorder", "middle"}}), "FormatError",
       "byteorder must be little or big; it is 'middle'"},
      {"H60 byteorder of a megabyte", with({{"m/version", "3"}, {"m/byteorder", std::string(1u << 20, 'b')}}),
       "FormatError", "must have at most 64 bytes"},
      {"H61 the tar of PyTorch 0.1", old, "accepted", "class: torch.nn.modules.linear.Linear"},
      {"H61 another tar", make_tar({{"a", "x"}}), "FormatError",
       "a tar archive (unpack it), and not one of PyTorch before 0.1.10: it has no member 'storages'"},
      {"H61 a member twice", make_tar({{"pickle", ""}, {"pickle", ""}}), "FormatError", "member 'pickle' stands twice"},
      {"H61 a member beyond the end", make_tar({{"pickle", "", 1u << 20}}), "FormatError",
       "member of the archive needs 1048576 bytes"},
      {"H61 a size that is no number", bent(std::string("00000000"), "0000000x"), "FormatError",
       "must be an octal number"},
      {"H61 more storages than there are", tar_of("\x80\2K\xFF."), "FormatError", "PROTO needs 1 bytes"},
      {"H61 a storage of 2^63 floats", tar_of("\x80\2K\1." + kTarStorage + le(std::uint64_t{1} << 63, 8)),
       "FormatError", "storage 5 of 9223372036854775808 elements overflows"},
      {"H61 a storage beyond the end", tar_of("\x80\2K\1." + kTarStorage + le(1000, 8)), "FormatError",
       "storage needs 4000 bytes"},
      {"H61 a storage twice", tar_of("\x80\2K\2." + kTarFloats + kTarFloats), "FormatError", "storage 5 stands twice"},
      {"H61 a storage of no class", tar_of("\x80\2K\1.\x80\2" + tuple({"K\5", text("cpu"), "N"}) + "."), "FormatError",
       "a storage needs a class of torch; it is None"},
      {"H61 a view beyond its storage", tar_of(kTarOne + tar_views("K\5", "K\1", "K\2")), "FormatError",
       "a view of 2 elements at 1 reaches beyond its storage of 2"},
      {"H61 a view of nothing", tar_of(kTarOne + tar_views("K\7", "K\0"s, "K\1")), "FormatError",
       "storage 7 is not there"},
      {"H61 a tensor of seventeen axes", tar_of(kTarOne + "\x80\2].", kTarTensor + le(17, 8)), "LimitError",
       "Limits::rank"},
      {"H61 a tensor of 2^32 - 1 axes", tar_of(kTarOne + "\x80\2].", kTarTensor + le(UINT32_MAX, 8)), "LimitError",
       "Limits::rank"},
      {"H61 a negative stride", tar_of(kTarOne + "\x80\2].", kTarTensor + le(1, 8) + le(2, 8) + le(UINT64_MAX, 8)),
       "FormatError", "a stride of a tensor must be at least 0; got -1"},
      {"H61 a tensor beyond its storage",
       tar_of(kTarOne + "\x80\2].", kTarTensor + le(1, 8) + le(2, 8) + le(1, 8) + le(1, 8)), "FormatError",
       "reaches beyond its storage of 2 elements"},
      {"H61 a tensor that begins beyond its storage",
       tar_of(kTarOne + "\x80\2].", kTarTensor + le(1, 8) + le(1, 8) + le(1, 8) + le(3, 8)), "FormatError",
       "begins beyond its storage of 2 elements"},
      {"H61 a tensor that is not there", tar_of(kTarOne + "\x80\2].", "\x80\2K\0."s, "\x80\2K\7Q."), "FormatError",
       "a persistent id must name a storage or a tensor; it is an integer"},
      {"H62 TorchScript", with({{"m/version", "3"}, {"m/code/__torch__.py", "import os"}}), "accepted",
       "left out: code and constants: TorchScript, which is not run"},
      {"H62 TorchScript constants", with({{"m/version", "3"}, {"m/constants.pkl", ""}}), "accepted", "TorchScript"},
      {"H62 TorchScript without tensors",
       make_zip({{"m/data.pkl", "\x80\2c__torch__\nNet\n)\x81."}, {"m/version", "3"}, {"m/constants.pkl", ""}}),
       "FormatError", "the file must hold tensors; it holds __torch__.Net"},
      {"H62 TorchScript of before 1.4", make_zip({{"m/model.json", "{}"}, {"m/version", "1"}}), "FormatError",
       "TorchScript of before PyTorch 1.4"},
      {"a program of torch.export", make_zip({{"m/archive_format", "pt2"}, {"m/version", "1"}}), "FormatError",
       "a program of torch.export (.pt2)"},
      {"H72 gzip", "\x1F\x8B\x08 rest", "FormatError", "gzip"},
      {"H72 7z", "7z\xBC\xAF\x27\x1C rest", "FormatError", "7z"},
      {"no version", with({}), "FormatError", "must have a member 'm/version'"},
      {"version from the future", with({{"m/version", "11\n"}}), "FormatError",
       "versions 1..10 of the container are read; got '11'"},
      {"version garbage", with({{"m/version", "3x"}}), "FormatError", "got '3x'"},
      {"no data.pkl", make_zip({{"m/version", "3"}}), "FormatError", "must have a member 'm/data.pkl'"},
      {"an empty archive", make_zip({}), "FormatError", "the archive is empty"},
      {"the pickle in another folder", make_zip({{"m/version", "3"}, {"n/data.pkl", good}}), "FormatError",
       "must have a member 'm/data.pkl'"},
      {"a deflated pickle", make_zip({packed("m/data.pkl", "\x80\2N\xFF"), {"m/version", "3"}}), "FormatError",
       "', in the inflated member 'm/data.pkl', byte 3: opcode 0xFF"},
      {"a deflated pickle in a folder of a long name",
       make_zip(
           {packed(std::string(2000, 'm') + "/data.pkl", "\x80\2N\xFF"), {std::string(2000, 'm') + "/version", "3"}}),
       "FormatError", "', in the inflated member '…/data.pkl', byte 3: opcode 0xFF"},
      {"a bare pickle", good, "FormatError", "a plain pickle, which may hold code"},
      {"text", "hello", "FormatError", "not written by torch.save"},
      {"legacy, a number for a key", front + "\x80\2}.\x80\2]K\1a.", "FormatError",
       "a key of the storages must be a text; it is an integer"},
      {"legacy, an unknown key", front + "\x80\2}.\x80\2]" + text("7") + "a.", "FormatError",
       "key '7' names no storage of the object"},
      {"legacy, bytes behind", legacy + "x", "FormatError", "1 bytes follow the last storage"},
      {"legacy, only the magic", legacy.substr(0, 15), "FormatError", "PROTO needs 1 bytes"},
      {"legacy, another protocol", std::string(legacy).replace(legacy.find("M\xE9\x03"), 3, "M\xEA\x03"), "FormatError",
       "protocol 1001 of the legacy format is read; got 1002"},
      {"legacy, another count",
       [&] {
         std::string bytes = legacy;
         bytes[bytes.size() - 4 * 2 - 8] = 3;  // the last storage has two floats
         return bytes;
       }(),
       "FormatError", "elements"},
  };
}

}  // namespace coppice::test
