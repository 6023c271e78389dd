// A classic script in <head>: settles theme and language before the first paint, so that nothing flashes.
(() => {
  const root = document.documentElement;
  const read = (/** @type {string} */ key) => {
    try {
      return localStorage.getItem(`vigia.${key}`);
    } catch {
      return null;
    }
  };
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const paint = () => {
    const chosen = read('theme');
    root.dataset.theme = chosen === 'light' || chosen === 'dark' ? chosen : dark.matches ? 'dark' : 'light';
  };
  paint();
  dark.addEventListener('change', paint);
  addEventListener('vigia-theme', paint);
  const languages = [read('lang') ?? '', ...navigator.languages].map((l) => l.slice(0, 2));
  root.lang = languages.find((l) => l === 'es' || l === 'en') ?? 'en';
})();
