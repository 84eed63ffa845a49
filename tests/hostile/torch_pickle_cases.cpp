/// Hostile PyTorch files: what reaches for code, and what the machine of the pickle refuses.

#include "hostile/cases.h"
#include "hostile/pickle.h"

using namespace std::string_literals;

namespace coppice::test {

using namespace pickle;

std::vector<Hostile> torch_code() {
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
      {"a module of a kilobyte", called(std::string(1000, 'm'), "x"), "FormatError",
       "module of a global must have at most 256 bytes; it begins with 'mmm"},
      {"a global of a megabyte", called("torch", std::string(1u << 20, 'n')), "FormatError",
       "name of a global must have at most 256 bytes; it begins with 'nnn"},
      {"a global without newline", pt("cos"), "FormatError", "must end in a newline"},
  };
}

std::vector<Hostile> torch_machine() {
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
      {"H46 underflow", pt("s"), "FormatError", "opcode 0x73 needs a value, and the stack is empty"},
      {"H46 underflow below a MARK", pt("}(s"), "FormatError", "the stack is empty"},
      {"H46 REDUCE on nothing", pt("R"), "FormatError", "opcode 0x52 needs a value"},
      {"H46 no MARK", pt("t"), "FormatError", "opcode 0x74 needs a MARK"},
      {"H46 memo of nothing", pt("q\0"s), "FormatError", "the stack is empty"},
      {"H46 unknown memo entry", pt("h\7"), "FormatError", "memo entry 7 was never stored"},
      {"H46 memo entry 2^32 - 1", pt("j\xFF\xFF\xFF\xFF"), "FormatError", "memo entry 4294967295 was never stored"},
      {"H47 a list in itself", pt("]q\0h\0a"s), "FormatError", "contains itself"},
      {"H47 a dict in itself", pt("}q\0"s + text("me") + "h\0s"s), "FormatError", "'me' contains itself"},
      {"H49 nesting of a million", pt(deep), "LimitError", "Limits::nesting"},
      {"4,100,000 MARKs", pt(std::string(4'100'000, '(')), "LimitError", "Limits::objects"},
      {"H50 LONG1 of 255 bytes as a size",
       pt(dict(tensor(num(0), tuple({"\x8A\xFF" + std::string(255, '\x7F')}), tuple({num(1)})))), "FormatError",
       "must be an integer of at most 64 bits; it is a float or longer"},
      {"H51 text of 4 GB", pt("X\xFF\xFF\xFF\xFFshort"), "FormatError", "text needs 4294967295 bytes"},
      {"H51 text that is not UTF-8", pt(text("\xED\xA0\x80")), "FormatError", "texts must be UTF-8"},
      {"H52 protocol 5", raw_pt("\x80\5}."), "FormatError", "got 5"},
      {"H52 protocol 0", raw_pt("(dp0\n."), "FormatError", "must begin with PROTO (0x80); it begins with 0x28"},
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
      {"a tuple as a name", pt("})" + kGood + "s"), "FormatError",
       "a key at the top must be a text or an integer; it is a tuple"},
      {"a name of a megabyte", pt("}" + text(std::string(1u << 20, 'n')) + kGood + "s"), "LimitError",
       "bytes of a name must be at most 4096; got 1048577 (raise Limits::name_bytes)"},
      {"a name of 5,000 bytes", pt("}" + text(std::string(5000, 'n')) + kGood + "s"), "LimitError",
       "Limits::name_bytes"},
  };
}

}  // namespace coppice::test
