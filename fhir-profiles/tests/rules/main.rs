//! What is refused, and the place that each refusal names.

#[cfg(test)]
mod bundles;
#[cfg(test)]
mod differentials;
#[cfg(test)]
mod elements;
#[cfg(test)]
mod profiles;
#[cfg(test)]
mod support;
#[cfg(test)]
mod syntax;
#[cfg(test)]
mod vital_signs;
