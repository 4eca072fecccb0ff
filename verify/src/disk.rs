//! Disk: a file system of the trial's own below the data of a server or a database, which is as large as the trial wants it to be.
//!
//! It is mounted in a namespace of the trial's own and goes with it, however that ends. Whoever may not mount for everybody may do so
//! in a namespace of users, where that is allowed.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, bail, ensure};

/// How a trial may get one: the name of the way in reports, and what `unshare` is told.
const WAYS: [(&str, &[&str]); 2] =
    [("tmpfs", &["--mount"]), ("tmpfs, in a namespace of users", &["--user", "--map-root-user", "--mount"])];

/// Whether one can be mounted in a folder, and made small.
const PROBE: &str = "mount -t tmpfs none \"$1\" && mount -o remount,size=1m none \"$1\"";

/// Far more than a trial writes; nothing of it is used before it is written.
const ROOM: &str = "4g";

/// What is in use may grow while it is being looked at.
const TRIES: usize = 50;

/// What a trial says that has no such disk.
pub(crate) const LACKING: &str = "no file system can be mounted here, so that no disk is filled: run it as root, or allow namespaces of users";

/// Runs this program once more where it may mount. `None` when there is no such place: the trial then goes without a full disk,
/// and has to say so.
pub(crate) fn enclose() -> anyhow::Result<Option<ExitCode>> {
    let place = tempfile::tempdir()?;
    for (name, arguments) in WAYS {
        let mut probe = Command::new("unshare");
        probe.args(arguments).args(["--", "sh", "-c", PROBE, "probe"]).arg(place.path());
        let works = probe.stderr(Stdio::null()).status();
        if !works.is_ok_and(|status| status.success()) {
            continue;
        }
        let status = Command::new("unshare")
            .args(arguments)
            .arg("--")
            .arg(std::env::current_exe()?)
            .args(std::env::args_os().skip(1))
            .args(["--disk", name])
            .status()
            .context("running the trial in a namespace of its own")?;
        return Ok(Some(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }));
    }
    Ok(None)
}

/// A mounted file system.
pub(crate) struct Disk {
    folder: PathBuf,
}

impl Disk {
    /// Mounts one with room for everything.
    pub(crate) fn mount(folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let options = format!("size={ROOM},mode=0700");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "none"]).arg(folder);
        ensure!(mount.status()?.success(), "no disk could be mounted at {}", folder.display());
        Ok(Self { folder: folder.to_owned() })
    }

    /// Leaves room for what is there, and no more.
    pub(crate) fn take_all_room(&self) -> anyhow::Result<()> {
        for _ in 0..TRIES {
            if self.resize(&self.used()?.to_string())? {
                return Ok(());
            }
        }
        bail!("the disk at {} grows faster than it can be made small", self.folder.display())
    }

    /// Gives the room back.
    pub(crate) fn give_room(&self) -> anyhow::Result<()> {
        ensure!(self.resize(ROOM)?, "the disk at {} could not be made large again", self.folder.display());
        Ok(())
    }

    /// Copies what is on it to where it stays.
    pub(crate) fn copy_to(&self, folder: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(folder)?;
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                std::fs::copy(entry.path(), folder.join(entry.file_name()))?;
            }
        }
        Ok(())
    }

    /// False when there is more on it.
    fn resize(&self, size: &str) -> anyhow::Result<bool> {
        let mut mount = Command::new("mount");
        // With its source, so that nothing is added of what it has: the kernel tells of users by numbers that a namespace of users may
        // not have, and refuses them.
        mount.args(["-o", &format!("remount,size={size},mode=0700"), "none"]).arg(&self.folder);
        Ok(mount.stderr(Stdio::null()).status()?.success())
    }

    /// What is in use, in bytes.
    fn used(&self) -> anyhow::Result<u64> {
        let told = Command::new("stat").args(["-f", "-c", "%b %f %S"]).arg(&self.folder).output()?;
        let told = String::from_utf8(told.stdout)?;
        let numbers: Vec<u64> = told.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        let [blocks, free, size] = numbers[..] else { bail!("`stat -f` answered {told:?}") };
        Ok((blocks - free) * size)
    }
}

impl Drop for Disk {
    /// So that the folder can be removed. Whoever still has a file open keeps it until then.
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.folder).stderr(Stdio::null()).status();
    }
}
