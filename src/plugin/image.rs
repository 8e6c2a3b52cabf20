//! What a shared object's file says of itself: its symbols and the libraries that it needs. Nothing is loaded.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::path::Path;

use object::read::elf::{Dyn, ElfFile, FileHeader};
use object::{Endianness, FileKind, Object, ObjectSymbol, RelocationTarget, SymbolFlags, elf};

/// What has been read of one file.
#[derive(Default)]
pub struct Image {
    /// The libraries that it names (DT_NEEDED).
    pub needed: Vec<String>,
    exported: BTreeSet<String>,
    wanted: BTreeSet<String>,
    /// One definition for the whole process (STB_GNU_UNIQUE): what glibc binds to it once stays bound.
    unique: BTreeSet<String>,
    /// Variables of libraries that the program has copied into itself (R_*_COPY).
    copied: BTreeSet<String>,
    /// Tells one content from another.
    pub digest: u64,
}

impl Image {
    /// Reads a file; `None` when it is no ELF file, or a broken one: the loader says more about it.
    pub fn read(file: &Path) -> Option<Self> {
        let data = fs::read(file).ok()?;
        let mut image = match FileKind::parse(&*data).ok()? {
            FileKind::Elf64 => Self::of::<elf::FileHeader64<Endianness>>(&data),
            FileKind::Elf32 => Self::of::<elf::FileHeader32<Endianness>>(&data),
            _ => None,
        }?;
        let mut hasher = DefaultHasher::new();
        hasher.write(&data);
        image.digest = hasher.finish();
        Some(image)
    }

    fn of<E: FileHeader<Endian = Endianness>>(data: &[u8]) -> Option<Self> {
        let file = ElfFile::<E>::parse(data).ok()?;
        let mut image = Image::default();
        for symbol in file.dynamic_symbols() {
            let Ok(name) = symbol.name() else { continue };
            let SymbolFlags::Elf { st_info, .. } = symbol.flags() else {
                continue;
            };
            if symbol.is_undefined() {
                image.wanted.insert(name.to_owned());
            } else if st_info >> 4 != elf::STB_LOCAL {
                image.exported.insert(name.to_owned());
                if st_info >> 4 == elf::STB_GNU_UNIQUE {
                    image.unique.insert(name.to_owned());
                }
            }
        }
        image.read_copied(&file);
        image.read_dynamic(&file, data);
        Some(image)
    }

    fn read_copied<E: FileHeader<Endian = Endianness>>(&mut self, file: &ElfFile<'_, E>) {
        let Some(copy) = copy_relocation(file.elf_header().e_machine(file.endian())) else {
            return;
        };
        let symbols = file.dynamic_symbol_table();
        for (_, relocation) in file.dynamic_relocations().into_iter().flatten() {
            if relocation.flags() == (object::RelocationFlags::Elf { r_type: copy })
                && let RelocationTarget::Symbol(index) = relocation.target()
                && let Some(Ok(symbol)) = symbols
                    .as_ref()
                    .map(|table| object::ObjectSymbolTable::symbol_by_index(table, index))
                && let Ok(name) = symbol.name()
            {
                self.copied.insert(name.to_owned());
            }
        }
    }

    fn read_dynamic<E: FileHeader<Endian = Endianness>>(
        &mut self,
        file: &ElfFile<'_, E>,
        data: &[u8],
    ) {
        let endian = file.endian();
        let sections = file.elf_section_table();
        let Ok(Some((entries, strings))) = sections.dynamic(endian, data) else {
            return;
        };
        let Ok(strings) = sections.strings(endian, data, strings) else {
            return;
        };
        for entry in entries {
            if entry.tag32(endian).map(i64::from) == Some(elf::DT_NEEDED)
                && let Ok(name) = entry.string(endian, strings)
            {
                self.needed.push(String::from_utf8_lossy(name).into_owned());
            }
        }
    }

    /// The symbol of a C++ function that is called `name` in its source, but not to the linker.
    pub fn mangled(&self, name: &str) -> Option<&str> {
        // The Itanium C++ ABI writes a name with its length before it.
        let written = format!("{}{name}", name.len());
        let mut symbols = self.exported.iter().map(String::as_str);
        symbols.find(|symbol| symbol.starts_with("_Z") && symbol.contains(&written))
    }

    /// The symbols that it defines and that a process can have once only.
    pub fn unique(&self) -> impl Iterator<Item = &str> {
        self.unique.iter().map(String::as_str)
    }

    /// Whether it refers to a variable that `program` has copied into itself: then it must be bound as the program
    /// is, or the two would not speak of the same variable. (Of the standard streams the copies are as good.)
    pub fn refers_to_copies_of(&self, program: &Image) -> bool {
        self.wanted
            .intersection(&program.copied)
            .any(|name| !["stdin", "stdout", "stderr"].contains(&name.as_str()))
    }
}

/// The relocation that copies a library's variable into a program.
fn copy_relocation(machine: u16) -> Option<u32> {
    Some(match machine {
        elf::EM_X86_64 => elf::R_X86_64_COPY,
        elf::EM_386 => elf::R_386_COPY,
        elf::EM_AARCH64 => elf::R_AARCH64_COPY,
        elf::EM_ARM => elf::R_ARM_COPY,
        elf::EM_RISCV => elf::R_RISCV_COPY,
        elf::EM_PPC64 => elf::R_PPC64_COPY,
        elf::EM_S390 => elf::R_390_COPY,
        elf::EM_LOONGARCH => elf::R_LARCH_COPY,
        _ => return None,
    })
}
