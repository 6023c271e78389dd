//! A profile as a tree: only what it says beyond the base definition, and the way to it.

#[derive(Default)]
pub(crate) struct Profile {
    pub(crate) url: &'static str,
    /// The LOINC code by which an Observation belongs to this profile.
    pub(crate) loinc: Option<&'static str>,
    pub(crate) root: ProfileElement,
}

#[derive(Default)]
pub(crate) struct ProfileElement {
    /// Without the `[x]` of a choice.
    pub(crate) name: &'static str,
    pub(crate) is_choice: bool,
    pub(crate) min: usize,
    /// `None`: no bound.
    pub(crate) max: Option<usize>,
    /// A fixed code or URI.
    pub(crate) fixed: Option<&'static str>,
    pub(crate) binding: Option<u16>,
    /// Types left by the profile, with the targets of references; empty: as in the base.
    pub(crate) types: Vec<(&'static str, Vec<u16>)>,
    pub(crate) invariants: Vec<&'static str>,
    pub(crate) children: Vec<ProfileElement>,
    /// The name of this slice, if it is one.
    pub(crate) slice: Option<&'static str>,
    /// Paths whose values tell slices apart; `$type` for the type of a choice.
    pub(crate) discriminators: Vec<&'static str>,
    pub(crate) slices: Vec<ProfileElement>,
}

impl ProfileElement {
    fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|c| c.name == name)
    }

    /// The value fixed at a path of this element or of the slices on the way: what a discriminator asks.
    pub(crate) fn fixed_at(&self, path: &str) -> Option<&'static str> {
        let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
        let child = self.child(name)?;
        std::iter::once(child).chain(&child.slices).find_map(|c| match rest {
            Some(rest) => c.fixed_at(rest),
            None => c.fixed,
        })
    }
}

/// Puts elements, which come parents first, into their tree.
#[derive(Default)]
pub(super) struct Builder {
    profile: Option<Profile>,
    /// The elements that are still open, outermost first.
    open: Vec<(usize, ProfileElement)>,
}

impl Builder {
    pub(super) fn open(&mut self, url: &'static str) {
        self.profile = Some(Profile { url, ..Profile::default() });
    }

    pub(super) fn add(&mut self, depth: usize, element: ProfileElement) {
        self.close(depth);
        self.open.push((depth, element));
    }

    pub(super) fn finish(&mut self) -> Option<Profile> {
        self.close(0);
        let mut profile = self.profile.take()?;
        let code = profile.root.fixed_at("code.coding.code");
        profile.loinc = code.filter(|_| profile.root.fixed_at("code.coding.system") == Some("http://loinc.org"));
        Some(profile)
    }

    /// Hands every element at this depth or deeper to its parent.
    fn close(&mut self, depth: usize) {
        while self.open.last().is_some_and(|(d, _)| *d >= depth) {
            let Some((_, element)) = self.open.pop() else { return };
            let Some((_, parent)) = self.open.last_mut() else {
                if let Some(profile) = &mut self.profile {
                    profile.root = element;
                }
                return;
            };
            let sliced = parent.children.iter_mut().find(|c| c.name == element.name);
            match (element.slice, sliced) {
                (Some(_), Some(sliced)) => sliced.slices.push(element),
                _ => parent.children.push(element),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::tables::TABLES;

    #[test]
    fn each_vital_sign_is_known_by_its_loinc_code() {
        let mut codes: Vec<_> =
            TABLES.profiles.iter().filter_map(|p| Some((p.loinc?, p.url.rsplit('/').next()?))).collect();
        codes.sort_unstable();
        assert_eq!(
            codes,
            [
                ("2708-6", "oxygensat"),
                ("29463-7", "bodyweight"),
                ("39156-5", "bmi"),
                ("8302-2", "bodyheight"),
                ("8310-5", "bodytemp"),
                ("85353-1", "vitalspanel"),
                ("85354-9", "bp"),
                ("8867-4", "heartrate"),
                ("9279-1", "resprate"),
                ("9843-4", "headcircum"),
            ]
        );
    }

    #[test]
    fn blood_pressure_has_two_slices() {
        let bp = TABLES.profiles.iter().find(|p| p.url.ends_with("/bp")).unwrap();
        let component = bp.root.child("component").unwrap();
        assert_eq!(component.min, 2);
        assert_eq!(component.discriminators, ["code.coding.code", "code.coding.system"]);
        let fixed: Vec<_> = component.slices.iter().map(|s| s.fixed_at("code.coding.code")).collect();
        assert_eq!(fixed, [Some("8480-6"), Some("8462-4")]);
    }
}
