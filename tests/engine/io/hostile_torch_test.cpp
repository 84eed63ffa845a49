/// Hostile PyTorch files: each must be refused with its category and rule, and none may run code.

#include "coppice/engine/io/torch_file.h"
#include "engine/io/io_support.h"

using namespace coppice;
using namespace coppice::test;
using namespace std::string_literals;

namespace {

// Pieces of pickles.
std::string text(const std::string& s) { return "X" + le(s.size(), 4) + s; }
std::string global(const std::string& module, const std::string& name) { return "c" + module + "\n" + name + "\n"; }
std::string num(std::uint64_t n) { return "\x8A\x08" + le(n, 8); }
std::string tuple(const std::vector<std::string>& items) {
  std::string out = "(";
  for (const std::string& item : items) out += item;
  return out + "t";
}
const std::string kHooks = global("collections", "OrderedDict") + ")R";
const std::string kFalse = "\x89";

std::string storage(std::uint64_t numel, const std::string& type = "FloatStorage", const std::string& key = "0") {
  return tuple({text("storage"), global("torch", type), text(key), text("cpu"), num(numel)}) + "Q";
}
std::string rebuilt(const std::vector<std::string>& args) {
  return global("torch._utils", "_rebuild_tensor_v2") + tuple(args) + "R";
}
/// A tensor over storage "0" of four floats.
std::string tensor(const std::string& offset, const std::string& sizes, const std::string& strides,
                   const std::string& held = storage(4)) {
  return rebuilt({held, offset, sizes, strides, kFalse, kHooks});
}
const std::string kGood = tensor(num(0), tuple({num(4)}), tuple({num(1)}));
/// {"w": value}
std::string dict(const std::string& value) { return "}" + text("w") + value + "s"; }
std::string raw_pt(const std::string& pickle, const std::string& data = std::string(16, '\0')) {
  return make_zip({{"m/data.pkl", pickle}, {"m/data/0", data}, {"m/version", "3\n"}});
}
std::string pt(const std::string& body, const std::string& data = std::string(16, '\0')) {
  return raw_pt("\x80\2" + body + ".", data);
}

std::vector<Hostile> code() {
  const auto called = [](const std::string& module, const std::string& name) {
    return pt(dict(global(module, name) + tuple({text("touch /tmp/owned")}) + "R"));
  };
  return {
      {"H40 os.system", called("os", "system"), "FormatError",
       "global 'os.system' is not among those a state dict needs, and no code of a file is run; save "
       "model.state_dict() (near 'w')"},
      {"H40 posix.system", called("posix", "system"), "FormatError", "'posix.system'"},
      {"H41 eval", called("builtins", "eval"), "FormatError", "'builtins.eval'"},
      {"H41 getattr", called("__builtin__", "getattr"), "FormatError", "'__builtin__.getattr'"},
      {"H41 importlib", called("importlib", "import_module"), "FormatError", "'importlib.import_module'"},
      {"H41 a dotted name", called("torch", "serialization.os.system"), "FormatError",
       "'torch.serialization.os.system'"},
      {"H41 a function of torch", called("torch", "load"), "FormatError", "'torch.load'"},
      {"H41 a name that only looks right", called("collections ", "OrderedDict"), "FormatError",
       "'collections .OrderedDict'"},
      {"H42 STACK_GLOBAL", pt(text("os") + text("system") + "\x93"), "FormatError", "opcode 0x93"},
      {"H42 INST", pt("(ios\nsystem\n"), "FormatError", "opcode 0x69"},
      {"H42 OBJ", pt("(" + global("collections", "OrderedDict") + "o"), "FormatError", "opcode 0x6F"},
      {"H42 NEWOBJ", pt(global("collections", "OrderedDict") + ")\x81"), "FormatError", "opcode 0x81"},
      {"H42 EXT1", pt("\x82\x01"), "FormatError", "opcode 0x82"},
      {"H42 text PERSID", pt("Pabc\n"), "FormatError", "opcode 0x50"},
      {"H42 FRAME", pt("\x95" + le(1, 8) + "N"), "FormatError", "opcode 0x95"},
      {"calling a storage class", pt(dict(global("torch", "FloatStorage") + ")R")), "FormatError",
       "'FloatStorage' cannot be called"},
      {"calling a dtype", pt(dict(global("torch", "float32") + ")R")), "FormatError", "'float32' cannot be called"},
      {"calling a text", pt(text("x") + ")R"), "FormatError", "REDUCE calls a known global; got a text"},
      {"calling with a list", pt(global("collections", "OrderedDict") + "]R"), "FormatError",
       "REDUCE takes a tuple of arguments; got a list"},
      {"a global without newline", pt("cos"), "FormatError", "must end in a newline"},
  };
}

std::vector<Hostile> machine() {
  std::string deep;
  for (int i = 0; i < 1'000'000; ++i) deep += ']';
  deep += std::string(999'999, 'a');
  return {
      {"H43 SETITEM on a tensor", pt(kGood + "K\0K\0s"s), "FormatError",
       "items can be set in a dict only; there is a tensor"},
      {"H43 SETITEMS on a list", pt("](K\0K\0u"s), "FormatError", "there is a list"},
      {"H43 SETITEM on None", pt("NK\0K\0s"s), "FormatError", "there is None"},
      {"H43 SETITEMS with three values", pt("}(K\0K\0K\0u"s), "FormatError", "a dict takes pairs; got 3 values"},
      {"H43 a dict as a key", pt("}}Ns"), "FormatError", "a key must be a text or a number; it is a dict"},
      {"H44 APPEND on a dict", pt("}Na"), "FormatError", "only a list can be appended to; there is a dict"},
      {"H44 APPENDS on a tuple", pt(")(Ne"), "FormatError", "there is a tuple"},
      {"H45 BUILD with a list", pt("}]b"), "FormatError", "the state of an OrderedDict must be a dict; it is a list"},
      {"H45 BUILD on a tensor", pt(kGood + "}b"), "FormatError", "BUILD is for an OrderedDict; there is a tensor"},
      {"H46 underflow", pt("s"), "FormatError", "the stack is empty"},
      {"H46 underflow below a MARK", pt("}(s"), "FormatError", "the stack is empty"},
      {"H46 REDUCE on nothing", pt("R"), "FormatError", "the stack is empty"},
      {"H46 no MARK", pt("t"), "FormatError", "there is no MARK"},
      {"H46 memo of nothing", pt("q\0"s), "FormatError", "the stack is empty"},
      {"H46 unknown memo entry", pt("h\7"), "FormatError", "memo entry 7 was never stored"},
      {"H46 memo entry 2^32 - 1", pt("j\xFF\xFF\xFF\xFF"), "FormatError", "memo entry 4294967295 was never stored"},
      {"H47 a list in itself", pt("]q\0h\0a"s), "FormatError", "contains itself"},
      {"H47 a dict in itself", pt("}q\0"s + text("me") + "h\0s"s), "FormatError", "'me' contains itself"},
      {"H49 nesting of a million", pt(deep), "LimitError", "Limits::nesting"},
      {"H50 LONG1 of 255 bytes as a size",
       pt(dict(tensor(num(0), tuple({"\x8A\xFF" + std::string(255, '\x7F')}), tuple({num(1)})))), "FormatError",
       "must be an integer of at most 64 bits"},
      {"H51 text of 4 GB", pt("X\xFF\xFF\xFF\xFFshort"), "FormatError", "text needs 4294967295 bytes"},
      {"H51 text that is not UTF-8", pt(text("\xED\xA0\x80")), "FormatError", "texts must be UTF-8"},
      {"H52 protocol 5", raw_pt("\x80\5}."), "FormatError", "got 5"},
      {"H52 protocol 0", raw_pt("(dp0\n."), "FormatError", "must begin with PROTO"},
      {"H52 no STOP", raw_pt("\x80\2}"), "FormatError", "opcode needs 1 bytes; 0 are left"},
      {"H52 bytes after STOP", raw_pt("\x80\2}.more"), "FormatError", "4 bytes follow the STOP"},
      {"H52 STOP with two values", pt("}}"), "FormatError", "STOP must find one value; there are 2"},
      {"H52 STOP with nothing", pt(""), "FormatError", "there are 0"},
      {"H52 empty pickle", raw_pt(""), "FormatError", "PROTO needs 1 bytes"},
      {"a number for a file", pt("K\1"), "FormatError", "the file must hold tensors; it holds an integer"},
      {"two tensors of one name", pt("}" + text("w") + kGood + "s" + text("w") + kGood + "s"), "FormatError",
       "two tensors have the path 'w'"},
      {"names that meet by their dots",
       pt("}" + text("a.b") + kGood + "s" + text("a") + "}" + text("b") + kGood + "ss"), "FormatError",
       "two tensors have the path 'a.b'"},
      {"NUL in a name", pt("}" + text("a\0b"s) + kGood + "s"), "FormatError", "contains NUL"},
      {"a tuple as a name", pt("})" + kGood + "s"), "FormatError", "must be a text or an integer; it is a tuple"},
      {"a name of 5,000 bytes", pt("}" + text(std::string(5000, 'n')) + kGood + "s"), "LimitError",
       "Limits::name_bytes"},
  };
}

std::vector<Hostile> tensors() {
  const auto four = tuple({num(4)}), one = tuple({num(1)});
  const auto id = [](const std::vector<std::string>& parts) {
    return pt(dict(tensor(num(0), tuple({num(4)}), tuple({num(1)}), tuple(parts) + "Q")));
  };
  const std::string type = global("torch", "FloatStorage");
  return {
      {"H53 four parts", id({text("storage"), type, text("0"), text("cpu")}), "FormatError", "must be a tuple of five"},
      {"H53 seven parts", id({text("storage"), type, text("0"), text("cpu"), num(4), "N", "N"}), "FormatError",
       "must be a tuple of five"},
      {"H53 no tuple", pt(dict(text("0") + "Q")), "FormatError", "must be a tuple of five"},
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
       "overflows"},
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
       "it is a number"},
      {"no storage", pt(dict(tensor(num(0), four, one, "N"))), "FormatError", "a tensor needs a storage; got None"},
      {"too few arguments", pt(dict(rebuilt({storage(4), num(0), four, one}))), "FormatError",
       "_rebuild_tensor_v2 takes 6..7 arguments; got 4"},
      {"requires_grad is a number", pt(dict(rebuilt({storage(4), num(0), four, one, "K\1", kHooks}))), "FormatError",
       "requires_grad must be a boolean"},
      {"hooks that are not empty", pt(dict(rebuilt({storage(4), num(0), four, one, kFalse, kHooks + "NNs"}))),
       "FormatError", "hooks of a tensor must be an empty OrderedDict"},
      {"a parameter of a list",
       pt(dict(global("torch._utils", "_rebuild_parameter") + tuple({"]", kFalse, kHooks}) + "R")), "FormatError",
       "a parameter must hold a tensor; it holds a list"},
      {"H58 quantised with scale 0",
       pt(dict(global("torch._utils", "_rebuild_qtensor") +
               tuple({storage(4, "QInt8Storage"), num(0), four, one,
                      tuple({global("torch", "per_tensor_affine"), "G" + le(0, 8), num(0)}), kFalse, kHooks}) +
               "R")),
       "NotSupported", "tensor 'w' is of a kind that this library does not have: a quantized tensor"},
      {"H59 sparse with wild indices",
       pt(dict(global("torch._utils", "_rebuild_sparse_tensor") + tuple({"N", tuple({kGood, kGood, four})}) + "R")),
       "NotSupported", "a sparse tensor"},
      {"a bool that is neither", pt(dict(tensor(num(0), four, one, storage(4, "BoolStorage"))), "\1\0\5\1"s),
       "FormatError", "element 2 is 5"},
      {"an untyped storage without type", pt(dict(tensor(num(0), four, one, storage(16, "UntypedStorage")))),
       "FormatError", "needs a tensor that names its element type"},
  };
}

std::vector<Hostile> containers() {
  const std::string good = "\x80\2" + dict(kGood) + "."s, data(16, '\0');
  const auto with = [&](const std::vector<Member>& more) {
    std::vector<Member> members{{"m/data.pkl", good}, {"m/data/0", data}};
    members.insert(members.end(), more.begin(), more.end());
    return make_zip(members);
  };
  std::string tar(512, '\0');
  tar.replace(257, 5, "ustar");
  const std::string legacy = slurp(kData / "torch/legacy_1_13.pt");
  return {
      {"H60 byteorder garbage", with({{"m/version", "3"}, {"m/byteorder", "middle"}}), "FormatError",
       "byteorder must be little or big; it is 'middle'"},
      {"H60 byteorder of a megabyte", with({{"m/version", "3"}, {"m/byteorder", std::string(1u << 20, 'b')}}),
       "FormatError", "must have at most 64 bytes"},
      {"H61 tar", tar, "FormatError", "a tar archive"},
      {"H62 TorchScript", with({{"m/version", "3"}, {"m/code/__torch__.py", "import os"}}), "FormatError",
       "TorchScript"},
      {"H62 TorchScript constants", with({{"m/version", "3"}, {"m/constants.pkl", ""}}), "FormatError", "TorchScript"},
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
      {"a bare pickle", good, "FormatError", "a plain pickle, which may hold code"},
      {"text", "hello", "FormatError", "not written by torch.save"},
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

}  // namespace

TEST_SUITE("engine/io/hostile_torch") {
  const auto read = [](const std::filesystem::path& path) { return read_torch(path); };

  TEST_CASE("what the tables vary is read when left alone") {
    const TempDir dir;
    spill(dir / "t.pt", pt(dict(kGood)));
    CHECK(read_torch(dir / "t.pt").at("w").shape() == Shape{4});
  }

  TEST_CASE("no pickle reaches code") { check_refused(code(), "hostile.pt", read); }
  TEST_CASE("the pickle machine refuses what no writer makes") { check_refused(machine(), "hostile.pt", read); }
  TEST_CASE("storages and tensors must fit their bytes") { check_refused(tensors(), "hostile.pt", read); }
  TEST_CASE("containers must be what torch.save writes") { check_refused(containers(), "hostile.pt", read); }

  TEST_CASE("H48: values that double at every level end at a limit") {
    const TempDir dir;
    std::string laughs = kGood;
    for (int i = 0; i < 40; ++i) laughs += "q\0h\0\x86"s;
    spill(dir / "t.pt", pt(laughs));
    const std::string said = outcome([&] { return read_torch(dir / "t.pt", {.limits = {.objects = 100'000}}); });
    CHECK(said.find("raise Limits::objects") != std::string::npos);
    std::string nothing = ")";
    for (int i = 0; i < 60; ++i) nothing += "q\0h\0\x86"s;
    spill(dir / "t.pt", pt(nothing));
    CHECK(read_torch(dir / "t.pt").empty());  // nothing below any of the 2^60 paths is a tensor: seen once
  }

  TEST_CASE("the number of values and memo entries is limited") {
    const TempDir dir;
    spill(dir / "t.pt", pt("(" + std::string(20'000, 'N') + "t"));
    CHECK(outcome([&] { return read_torch(dir / "t.pt", {.limits = {.objects = 10'000}}); }).starts_with("LimitError"));
    CHECK(outcome([&] { return read_torch(dir / "t.pt"); }) == "accepted");
    CHECK(outcome([&] {
            return read_torch(dir / "t.pt", {.limits = {.header_bytes = 10'000}});
          }).starts_with("LimitError"));
  }

  TEST_CASE("expanded and overlapping views are read as copies") {
    const TempDir dir;
    const std::string data = le(0x3F800000, 4) + le(0x40000000, 4) + le(0x40400000, 4) + le(0x40800000, 4);
    spill(dir / "t.pt", pt(dict(tensor(num(1), tuple({num(2), num(2)}), tuple({num(1), num(1)}))), data));
    CHECK(read_torch(dir / "t.pt").at("w") == Tensor::of({{2, 3}, {3, 4}}));
    spill(dir / "t.pt", pt(dict(tensor(num(3), tuple({num(2), num(1)}), tuple({num(0), num(77)}))), data));
    CHECK(read_torch(dir / "t.pt").at("w").to_vector<float>() == std::vector<float>{4, 4});
  }

  TEST_CASE("every byte of a pickle may be wrong: refused, or read without harm") {
    const TempDir dir;
    const std::string good = "\x80\2" + dict(kGood) + ".";
    std::size_t refused = 0;
    for (std::size_t i = 0; i < good.size(); ++i)
      for (const int flip : {1, 16, 128}) {
        std::string bytes = good;
        bytes[i] = static_cast<char>(bytes[i] ^ flip);
        spill(dir / "h.pt", raw_pt(bytes));
        refused += outcome([&] { return read_torch(dir / "h.pt").nbytes(); }) != "accepted";
      }
    CHECK(refused > 2 * good.size());
  }
}
