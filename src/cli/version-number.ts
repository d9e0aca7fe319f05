/** The version of this program (package.json's; a unit test keeps them equal). */
export const gantryVersion = "0.1.0";
